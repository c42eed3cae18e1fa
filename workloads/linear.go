package workloads

import (
	"github.com/anishathalye/porcupine"

	"screwtape/harness"
	"screwtape/harness/check"
)

// A Linear workload can say of its histories what a porcupine model makes of
// them, for a picture: object by object, each of which begins as the model does.
type Linear interface {
	Objects(e *harness.End) (porcupine.Model, []check.Object)
}

var (
	_ Linear = (*Queue)(nil)
	_ Linear = (*Lock)(nil)
)

// Objects are the messages.
func (q *Queue) Objects(e *harness.End) (porcupine.Model, []check.Object) {
	ops := accepted(e.History)
	var list []check.Object
	for _, m := range check.Messages(ops, q.places(e)) {
		list = append(list, check.Object{Name: m.ID, Operations: check.MessageOperations(ops, m.ID, m.Places)})
	}
	return check.MessageModel(q.config.Promise), list
}

// Objects are the one lock.
func (l *Lock) Objects(e *harness.End) (porcupine.Model, []check.Object) {
	return holderModel, []check.Object{{Name: lockFile, Operations: holderOperations(e.History, lockFile)}}
}
