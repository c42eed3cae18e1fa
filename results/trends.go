package results

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxTrend bounds the runs that a plot shows, the newest.
const maxTrend = 200

// trends shows the finished runs of one test over time.
func (s *server) trends(w http.ResponseWriter, r *http.Request) {
	all, err := s.list()
	if err != nil {
		fail(w, err)
		return
	}
	test := r.URL.Query().Get("test")
	runs := slices.DeleteFunc(all, func(r *Run) bool { return r.Report == nil || r.Test.Name != test })
	runs = runs[:min(len(runs), maxTrend)]
	oldest := slices.Clone(runs)
	slices.Reverse(oldest)
	show(w, "trends", struct {
		Head  head
		Test  string
		Plots []plot
		Span  *span
		Runs  []*Run
	}{head{"Runs of " + test + " over time", false}, test, plots(oldest), spanOf(oldest), runs})
}

// A span is when the first and the last of some runs began.
type span struct{ First, Last string }

// spanOf is nil where there are not two runs to tell apart.
func spanOf(oldest []*Run) *span {
	if len(oldest) < 2 {
		return nil
	}
	return &span{oldest[0].Test.Started.Format(time.DateTime), oldest[len(oldest)-1].Test.Started.Format(time.DateTime)}
}

// A measure is one number of a run. NaN is none.
type measure struct {
	title string
	of    func(*Run) float64
}

// measures are what trends are drawn of.
var measures = []measure{
	{"schedules", func(r *Run) float64 { return float64(r.Report.Schedules) }},
	{"distinct traces", func(r *Run) float64 { return float64(r.Report.Traces) }},
	{"kinds of anomalies", func(r *Run) float64 { return float64(len(r.Report.Kinds())) }},
	{"seconds to the first anomaly", func(r *Run) float64 { return r.Report.ToFind() }},
}

// ToFind is how many seconds the first anomaly that breaks the promise took to
// find; NaN where none was found, or nobody looked at the time.
func (r *Report) ToFind() float64 {
	first := math.NaN()
	for _, a := range r.Anomalies {
		if a.Schedule > 0 && !(a.Seconds >= first) {
			first = a.Seconds
		}
	}
	return first
}

// A plot is one measure of runs, the oldest at the left.
type plot struct {
	Title  string
	Says   string   // the same in words
	Most   string   // the value at the top
	Lines  []string // of points that follow one another, as SVG has them
	Points []point
}

// A point is one run. Its shape says the verdict, not its colour alone.
type point struct {
	X, Y    float64
	Verdict string
	Says    string
}

// Size of a plot within its picture, in the picture's units.
const (
	plotLeft, plotTop      = 50, 10
	plotWidth, plotHeight  = 400, 110
	plotBottom, plotMargin = plotTop + plotHeight, 12
)

func plots(runs []*Run) []plot {
	var list []plot
	for _, m := range measures {
		p := plot{Title: m.title}
		most := 0.0
		for _, r := range runs {
			if v := m.of(r); v > most {
				most = v
			}
		}
		top := niceTop(most)
		p.Most = number(top)
		var line []string
		for i, r := range runs {
			v := m.of(r)
			if math.IsNaN(v) {
				p.Lines, line = addLine(p.Lines, line), nil
				continue
			}
			x := plotLeft + plotMargin + float64(plotWidth-2*plotMargin)*place(i, len(runs))
			y := plotBottom - plotHeight*v/top
			line = append(line, fmt.Sprintf("%.1f,%.1f", x, y))
			p.Points = append(p.Points, point{x, y, string(r.Report.Verdict), fmt.Sprintf("%s: %s, %s", r.Dir, number(v), sign(r.Report.Verdict))})
		}
		p.Lines = addLine(p.Lines, line)
		p.Says = says(m, runs)
		list = append(list, p)
	}
	return list
}

// place is where the i-th of n runs stands, from 0 to 1.
func place(i, n int) float64 {
	if n == 1 {
		return 0.5
	}
	return float64(i) / float64(n-1)
}

func addLine(lines, points []string) []string {
	if len(points) < 2 {
		return lines
	}
	return append(lines, strings.Join(points, " "))
}

// niceTop is the least of 1, 2, 5, 10, 20, ... times a power of ten that is not
// below the value.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, k := range []float64{1, 2, 5} {
		if v <= k*unit {
			return k * unit
		}
	}
	return 10 * unit
}

func number(v float64) string {
	if v >= 10 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// says puts a plot into words, for those who do not see it.
func says(m measure, runs []*Run) string {
	var values []float64
	for _, r := range runs {
		if v := m.of(r); !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return m.title + ": none in " + count(len(runs), "run")
	}
	return fmt.Sprintf("%s in %s: from %s to %s, the latest %s", m.title, count(len(values), "run"),
		number(slices.Min(values)), number(slices.Max(values)), number(values[len(values)-1]))
}
