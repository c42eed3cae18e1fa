package results

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// PictureFile is what the picture of a history is called, beside its report.
const PictureFile = "linearizability.html"

// Bounds of a picture. What is beyond them is left out, and counted.
const (
	maxOperations = 400     // of all objects
	maxOfObject   = 200     // of one
	maxPicture    = 1 << 20 // bytes
	maxSearch     = 10 * time.Second
)

// Picture draws by porcupine in which order the operations of a history can
// have taken effect, or how far one gets, with the faults beside them: one HTML
// file that needs nothing else. Objects that cannot be put into an order come
// first.
func Picture(title string, model porcupine.Model, objects []check.Object, ops []history.Op) ([]byte, error) {
	for most := maxOperations; ; most /= 2 {
		d := newDrawing(model, objects, most)
		page, err := d.page(title, model, ops)
		if err != nil || len(page) <= maxPicture || most <= 10 {
			return page, err
		}
	}
}

// A drawing is what of the objects a picture shows.
type drawing struct {
	Objects []drawn
	Left    int // objects left out
}

type drawn struct {
	check.Object
	Linear bool
	Cut    int // operations left out at the end
	Told   []string
}

func newDrawing(model porcupine.Model, objects []check.Object, most int) drawing {
	var d drawing
	for _, o := range objects {
		slices.SortStableFunc(o.Operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		shown := drawn{Object: o, Cut: max(0, len(o.Operations)-min(most, maxOfObject))}
		shown.Operations = o.Operations[:len(o.Operations)-shown.Cut]
		shown.Linear = porcupine.CheckOperationsTimeout(model, shown.Operations, maxSearch) == porcupine.Ok
		for _, op := range shown.Operations {
			shown.Told = append(shown.Told, model.DescribeOperation(op.Input, op.Output))
		}
		d.Objects = append(d.Objects, shown)
	}
	slices.SortStableFunc(d.Objects, func(a, b drawn) int {
		switch {
		case a.Linear == b.Linear:
			return 0
		case a.Linear:
			return 1
		}
		return -1
	})
	total := 0
	for i, o := range d.Objects {
		if total += len(o.Operations); total > most && i > 0 {
			d.Left = len(d.Objects) - i
			d.Objects = d.Objects[:i]
			break
		}
	}
	return d
}

// An input is an operation's, with the object that it is about.
type input struct {
	object int
	inner  any
}

// model makes one model of all objects: a partition for each.
func (d drawing) model(m porcupine.Model) porcupine.Model {
	return porcupine.Model{
		Init: m.Init,
		Step: func(state, in, out any) (bool, any) { return m.Step(state, in.(input).inner, out) },
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, len(d.Objects))
			for _, op := range all {
				i := op.Input.(input).object
				parts[i] = append(parts[i], op)
			}
			return parts
		},
		DescribeOperation: func(in, out any) string {
			text := m.DescribeOperation(in.(input).inner, out)
			if len(d.Objects) > 1 {
				text = d.Objects[in.(input).object].Name + ": " + text
			}
			return text
		},
		// porcupine's script makes markup of this one.
		DescribeState: func(state any) string { return html.EscapeString(m.DescribeState(state)) },
	}
}

func (d drawing) page(title string, model porcupine.Model, ops []history.Op) ([]byte, error) {
	var all []porcupine.Operation
	for i, o := range d.Objects {
		for _, op := range o.Operations {
			op.Input = input{i, op.Input}
			all = append(all, op)
		}
	}
	one := d.model(model)
	_, info := porcupine.CheckOperationsVerbose(one, all, maxSearch)
	info.AddAnnotations(annotations(ops))
	var b bytes.Buffer
	if err := porcupine.Visualize(one, info, &b); err != nil {
		return nil, err
	}
	data, err := frameOf(b.String())
	if err != nil {
		return nil, err
	}
	frame := pictureFrame()
	var page bytes.Buffer
	err = templates().ExecuteTemplate(&page, "picture.html", map[string]any{
		"Title": title, "Drawing": d, "Clients": check.Clients(ops), "Policy": picturePolicy(),
		"Style": template.CSS(frame.style), "Legend": template.HTML(frame.legend), "Script": template.JS(frame.script), "Data": template.JS(data.data),
	})
	return page.Bytes(), err
}

// annotations are what went wrong, at the place in the history where it did.
// The first 200 are enough for an eye.
func annotations(ops []history.Op) []porcupine.Annotation {
	var list []porcupine.Annotation
	for i, op := range ops {
		tag, text := "faults", strings.TrimSpace(op.F+" "+op.Value+" "+op.Error)
		switch {
		case op.F == "start":
			tag = "starts, ends"
		case op.F == "exit":
			tag, text = "starts, ends", op.Process+": "+op.Value
		case op.Type == history.Fail:
			text = strings.TrimSpace(op.F + " " + op.Value + " fails: " + op.Error)
		case op.Type != history.Info:
			continue
		case op.Process != "nemesis": // one program's signal to another
			tag = "signals"
		}
		if len(list) == 200 {
			break
		}
		list = append(list, porcupine.Annotation{Tag: tag, Start: int64(2 * i), End: int64(2*i + 1), Description: text,
			Details: fmt.Sprintf("%s, before step %d, at %v", text, op.Step+1, op.Time), BackgroundColor: "#f6d5d5"})
	}
	return list
}

// A frame is what porcupine's page is made of.
type frame struct{ style, legend, script, data string }

// frameOf takes the page of porcupine apart.
func frameOf(page string) (frame, error) {
	var f frame
	rest := page
	cut := func(what *string, before, after string) bool {
		_, found, ok := strings.Cut(rest, before)
		if ok {
			*what, rest, ok = strings.Cut(found, after)
		}
		return ok
	}
	ok := cut(&f.style, "<style>", "</style>") && cut(&f.legend, "<body>", "<script>") &&
		cut(&f.script, "", "const data = ") && cut(&f.data, "", "\n\n      render(data)")
	if !ok || !json.Valid([]byte(f.data)) {
		return f, errors.New("porcupine's picture is not made as it used to be")
	}
	f.legend = strings.Replace(f.legend, `<div id="canvas">`, `<div id="canvas" tabindex="0" role="region" aria-label="The picture">`, 1)
	// The data stands in a block of its own, so that the script is always the
	// same, and a policy can name it.
	f.script += "render(JSON.parse(document.getElementById('data').textContent))\n"
	return f, nil
}

// pictureFrame is what all pictures have in common.
var pictureFrame = sync.OnceValue(func() frame {
	var b bytes.Buffer
	model := porcupine.Model{Init: func() any { return nil }, Step: func(state, _, _ any) (bool, any) { return true, state }}
	_, info := porcupine.CheckOperationsVerbose(model, nil, 0)
	err := porcupine.Visualize(model, info, &b)
	if err == nil {
		var f frame
		if f, err = frameOf(b.String()); err == nil {
			f.style += asset("picture.css")
			return f
		}
	}
	panic(err) // it is compiled in
})

// picturePolicy is the content security policy of a picture. porcupine colours
// its annotations by attributes, which run nothing.
func picturePolicy() string {
	return policy(pictureFrame().script, pictureFrame().style) + "; style-src-attr 'unsafe-inline'"
}
