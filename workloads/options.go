package workloads

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
	"screwtape/nemesis"
)

// horizon is how far time goes for programs that wait for a lock: twice the
// longest lifetime of Mailman's locks, that of the master's.
const horizon = 60 * time.Hour

// An option is one line of a tape's header, where its value goes, and what it says.
type option struct {
	key   string
	value any // *string, *int, *bool, *time.Duration, *[]string or *[]Slice
	means string
}

// What lines mean that are the same in more than one workload.
const (
	meansProfile = "the version of Mailman that programs do as (screwtape list profiles)"
	meansNodes   = "the nodes' names"
	meansBugs    = "bugs to plant, with commas (screwtape list bugs)"
	meansNemesis = "what goes wrong (screwtape list nemeses)"
	meansCrashes = "of each nemesis, at most so many faults in a schedule"
)

// text is the option's value as a header has it, "" for none.
func (o option) text() string {
	switch v := o.value.(type) {
	case *string:
		return *v
	case *[]string:
		return strings.Join(*v, " ")
	case *[]Slice:
		var words []string
		for _, s := range *v {
			words = append(words, s.String())
		}
		return strings.Join(words, " ")
	case *int:
		return strconv.Itoa(*v)
	case *time.Duration:
		return v.String()
	case *bool:
		if *v {
			return "yes"
		}
		return "no"
	}
	panic(fmt.Sprintf("option %s is a %T", o.key, o.value))
}

// defaults gives a workload's options, as they are where a header says nothing.
func defaults[C any](make func() C, options func(*C) []option) func() []option {
	return func() []option {
		c := make()
		return options(&c)
	}
}

// A keyError is what is wrong with what a header says of a key.
type keyError struct {
	key string
	error
}

func (e *keyError) Unwrap() error { return e.error }

// about says of which key of a header an error tells, so that its line can be
// named.
func about(key string, err error) error { return &keyError{key, err} }

// read takes over what the header says of the options.
func read(h schedule.Header, options []option) error {
	for _, o := range options {
		text := h.Get(o.key)
		if text == "" {
			continue
		}
		var err error
		switch v := o.value.(type) {
		case *string:
			*v = text
		case *[]string:
			*v = strings.Fields(text)
		case *[]Slice:
			*v, err = ParseSlices(text)
		case *int:
			*v, err = count(text)
		case *time.Duration:
			if *v, err = time.ParseDuration(text); err != nil || *v < 0 {
				err = fmt.Errorf("%q is no length of time; write such as 15s or 30h", text)
			}
		case *bool:
			*v = text == "yes"
			if text != "yes" && text != "no" {
				err = fmt.Errorf("%q is neither yes nor no", text)
			}
		}
		if err != nil {
			return about(o.key, fmt.Errorf("header %s: %w", o.key, err))
		}
	}
	return nil
}

// count reads a number of things.
func count(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no whole number, 0 or more", value)
	}
	return n, nil
}

// header is the options as a tape's header has them; those that are empty are
// left out.
func header(workload string, options []option) schedule.Header {
	var h schedule.Header
	h.Set("workload", workload)
	for _, o := range options {
		if text := o.text(); text != "" {
			h.Set(o.key, text)
		}
	}
	return h
}

// promises are all there are, for people.
func promises() string {
	var names []string
	for _, p := range check.Promises {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

func noPromise(p check.Promise) error {
	return fmt.Errorf("no promise %q; there are %s", p, promises())
}

// makeNemeses makes those of these names, each with so many faults.
func makeNemeses(names []string, budget int) ([]harness.Nemesis, error) {
	var list []harness.Nemesis
	for _, name := range names {
		n, err := nemesis.New(name, budget)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// ours is a program of ours.
func ours(node, name string, args ...string) harness.Program {
	return harness.Program{Node: node, Name: name, Path: "/proc/self/exe", Args: append([]string{"screwtape-runner"}, args...),
		Env: []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}, Single: true}
}

// once is a program of ours that a client starts, and that ends by itself.
func once(node, name string, args ...string) harness.Program {
	p := ours(node, name, args...)
	p.Horizon, p.Late, p.Once = horizon, true, true
	return p
}
