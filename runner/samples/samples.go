// Package samples holds messages to put into queues: of many kinds and sizes,
// all our own text. None has a Message-ID; who puts it in gives it one.
package samples

import (
	"embed"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

//go:embed text/*.eml
var texts embed.FS

// names are all samples, smallest kinds first. The last is made, the others lie
// in text/.
var names = []string{"plain", "encoded-words", "eight-bit", "quoted-printable", "base64", "alternative", "mixed", "forwarded", "dots", "big"}

// Names are the names of all samples.
func Names() []string { return append([]string(nil), names...) }

// Get gives a sample's text: headers, an empty line and a body, the lines ending
// in \n.
func Get(name string) ([]byte, error) {
	if name == "big" {
		return big(), nil
	}
	text, err := texts.ReadFile("text/" + name + ".eml")
	if err != nil {
		return nil, fmt.Errorf("no sample %q; there are %s", name, strings.Join(names, ", "))
	}
	return text, nil
}

// big is a message of one MiB, most of it an attachment; the same each time.
func big() []byte {
	const size = 1 << 20
	const boundary = "=_screwtape_big"
	var b strings.Builder
	b.Grow(size + 100)
	b.WriteString("From: Bertram <bertram@screwtape.example>\n" +
		"To: test@screwtape.example\n" +
		"Subject: The ledgers, scanned\n" +
		"MIME-Version: 1.0\n" +
		"Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\n\n" +
		"--" + boundary + "\n" +
		"Content-Type: text/plain; charset=us-ascii\n\n" +
		"All pages, as promised.\n\n" +
		"--" + boundary + "\n" +
		"Content-Type: application/octet-stream; name=\"ledgers.bin\"\n" +
		"Content-Transfer-Encoding: base64\n\n")
	random := rand.NewPCG(1, 2)
	var line [57]byte
	for b.Len() < size-len(boundary)-6-77 {
		for i := range line {
			line[i] = byte(random.Uint64())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(line[:]) + "\n")
	}
	b.WriteString("--" + boundary + "--\n")
	return []byte(b.String())
}
