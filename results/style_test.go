package results

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// Whatever is written is told from what it is written on, light and dark, as the
// guidelines for accessible pages have it (WCAG 2.2, 1.4.3: 4.5 to 1).
func TestContrast(t *testing.T) {
	palettes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(asset("style.css"), 2)
	if len(palettes) != 2 {
		t.Fatal("there are no two palettes")
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6})`).FindAllStringSubmatch(palettes[i][1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, on := range []string{"ground", "panel", "pick", "other"} {
			for _, text := range []string{"ink", "faint", "good", "bad", "open", "link"} {
				a, b := colours[text], colours[on]
				if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
					t.Errorf("%s: --%s on --%s is %.2f to 1", scheme, text, on, ratio)
				}
			}
		}
	}
}

// luminance is how bright a colour is, from 0 to 1, as WCAG defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(shift int) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
