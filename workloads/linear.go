package workloads

import (
	"slices"
	"strings"

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
	_ Linear = (*Config)(nil)
	_ Linear = (*Program)(nil)
	_ Linear = (*Master)(nil)
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
	return holders(e, lockFile)
}

// Objects are the one lock.
func (p *Program) Objects(e *harness.End) (porcupine.Model, []check.Object) {
	return holders(e, lockFile)
}

// Objects are the one master's lock.
func (m *Master) Objects(e *harness.End) (porcupine.Model, []check.Object) {
	return holders(e, theMaster)
}

func holders(e *harness.End, lock string) (porcupine.Model, []check.Object) {
	return holderModel, []check.Object{{Name: lock, Operations: holderOperations(e.History, lock)}}
}

// Objects are the registers of the list. They do not begin alike, so each begins with
// a write.
func (c *Config) Objects(e *harness.End) (porcupine.Model, []check.Object) {
	final, _ := finalList(e)
	clients := check.Clients(e.History)
	var list []check.Object
	for _, r := range listRegisters(listActs(e), final) {
		initial := valueOf(initialValues, r.key)
		begin := regOp{who: "the beginning: " + initial, write: true, value: initial, call: -2, ret: -1}
		object := check.Object{Name: r.key}
		for _, o := range append([]regOp{begin}, r.ops...) {
			who, _, _ := strings.Cut(o.who, "'s ")
			client := slices.Index(clients, who)
			if client < 0 {
				client = len(clients)
			}
			if o.write || o.ret != forever {
				object.Operations = append(object.Operations, porcupine.Operation{ClientId: client, Input: o, Call: int64(o.call), Return: int64(o.ret)})
			}
		}
		list = append(list, object)
	}
	return registerModel(""), list
}
