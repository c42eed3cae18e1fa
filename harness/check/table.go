package check

import "slices"

// This file is the whole of what screwtape holds of a message: what it is
// called to be in some place after so many deliveries, and which promise that
// breaks. Everything else in this package counts.

// A Promise is what a test says of its messages, and is judged by.
type Promise string

// The promises.
const (
	// AtMostOnce: no message is delivered twice, whatever happens.
	AtMostOnce Promise = "at-most-once"
	// AtLeastOnce: every accepted message is delivered; twice only where a
	// crash came between a delivery and the entry's removal, since nobody
	// could know then that it had been delivered.
	AtLeastOnce Promise = "at-least-once"
	// ExactlyOnce: every accepted message is delivered once, and nothing is
	// left behind or reported that calls for a second look.
	ExactlyOnce Promise = "exactly-once"
)

// Promises lists them all.
var Promises = []Promise{AtMostOnce, AtLeastOnce, ExactlyOnce}

// Kinds of anomalies of messages.
const (
	LostMessage              = "lost-message"                // accepted, never delivered, and nothing will take it any more
	DoubleDelivery           = "double-delivery"             // delivered more than once, and no crash excuses it
	DoubleDeliveryAfterCrash = "double-delivery-after-crash" // delivered again after a crash between a delivery and its removal
	StrayCopy                = "stray-copy"                  // delivered, and a preserved copy remains
	Stranded                 = "stranded"                    // left as .bak or .tmp that nothing will pick up
	Unserved                 = "unserved"                    // left in the queue in a slice that no runner serves
	Shunted                  = "shunted"                     // set aside, to be looked at by a person
	MisleadingError          = "misleading-error"            // damage reported where there was none
)

// Kinds of anomalies that other checkers find. They are listed here so that
// reports know every kind.
const (
	LostUpdate   = "lost-update"   // set, add, remove and reads of one list are not linearizable
	Miscounted   = "miscounted"    // a list has counted a bounce twice, or never
	CorruptState = "corrupt-state" // a state file that cannot be read
	SplitBrain   = "split-brain"   // two masters, or two holders of one lock, at once
	StolenLock   = "stolen-lock"   // a live holder's lock was broken
	Stuck        = "stuck"         // progress ended although nothing is faulty any more
)

// Kinds lists every kind of anomaly, the worst first. Reports are ordered by
// it.
var Kinds = []string{
	LostMessage, LostUpdate, CorruptState, SplitBrain, StolenLock, DoubleDelivery, Miscounted,
	Stuck, Unserved, Stranded, Shunted, DoubleDeliveryAfterCrash, StrayCopy, MisleadingError,
}

// Places where a message can lie when all is over.
const (
	Pck           = "pck"      // in the queue, and a runner serves its slice: it waits, which is a delay and no anomaly
	Bak           = "bak"      // taken by a runner, and no recovery will bring it back
	Psv           = "psv"      // preserved as bad: nothing reads it again
	Shunt         = "shunt"    // set aside for a person
	Tmp           = "tmp"      // half enqueued: nothing reads it
	UnservedSlice = "unserved" // in the queue, and no runner serves its slice
	Nowhere       = "nowhere"  // gone
)

// A row says what it is called that a copy of a message lies in a place.
type row struct {
	place string
	none  []string // delivered 0 times
	once  []string // delivered once
	more  []string // delivered more often; "" stands for one of the double deliveries
	keeps bool     // a program or a person would still take it from there, so that it is not lost
}

// table is location x times delivered -> anomalies. A lost-message counts only
// if the message was accepted and no other copy of it is kept.
var table = []row{
	{place: Nowhere, none: []string{LostMessage}, once: nil, more: []string{double}},
	{place: Pck, none: nil, once: nil, more: []string{double}, keeps: true},
	{place: Bak, none: []string{Stranded}, once: []string{Stranded}, more: []string{double, Stranded}, keeps: true},
	{place: Psv, none: []string{LostMessage}, once: []string{StrayCopy}, more: []string{double, StrayCopy}},
	{place: Shunt, none: []string{Shunted}, once: []string{Shunted}, more: []string{double, Shunted}, keeps: true},
	{place: Tmp, none: []string{LostMessage, Stranded}, once: []string{Stranded}, more: []string{double, Stranded}},
	{place: UnservedSlice, none: []string{Unserved}, once: []string{Unserved}, more: []string{double, Unserved}, keeps: true},
}

// double stands for DoubleDelivery or DoubleDeliveryAfterCrash: deliveries are
// told apart by crashes, which are in no place.
const double = ""

// A when says under which condition a kind breaks a promise.
type when int

const (
	never  when = iota
	always      // wherever it is seen
	owed        // only if the message was accepted, never delivered, and does not wait in the queue either
	taken       // only if the message was accepted or delivered: a client that died half-way was promised nothing
)

// breaks is kind x promise -> when. What does not break the promise is still
// reported, as allowed.
var breaks = map[string]map[Promise]when{
	LostMessage:              {AtMostOnce: never, AtLeastOnce: always, ExactlyOnce: always},
	DoubleDelivery:           {AtMostOnce: always, AtLeastOnce: always, ExactlyOnce: always},
	DoubleDeliveryAfterCrash: {AtMostOnce: always, AtLeastOnce: never, ExactlyOnce: always},
	StrayCopy:                {AtMostOnce: never, AtLeastOnce: never, ExactlyOnce: always},
	Stranded:                 {AtMostOnce: never, AtLeastOnce: owed, ExactlyOnce: taken},
	Unserved:                 {AtMostOnce: never, AtLeastOnce: owed, ExactlyOnce: taken},
	Shunted:                  {AtMostOnce: never, AtLeastOnce: owed, ExactlyOnce: taken},
	MisleadingError:          {AtMostOnce: never, AtLeastOnce: never, ExactlyOnce: always},
}

// in looks a cell of the table up. A place that the table does not know gives
// false: its finding cannot be told, and the verdict is unknown.
func in(place string, delivered int) (kinds []string, keeps, known bool) {
	for _, r := range table {
		if r.place != place {
			continue
		}
		switch delivered {
		case 0:
			return r.none, r.keeps, true
		case 1:
			return r.once, r.keeps, true
		default:
			return r.more, r.keeps, true
		}
	}
	return nil, false, false
}

// breaksPromise reports whether the kind, seen on the message, breaks the
// promise.
func (m *Message) breaksPromise(p Promise, kind string) bool {
	switch breaks[kind][p] {
	case always:
		return true
	case owed:
		return m.Accepted && len(m.Deliveries) == 0 && !slices.Contains(m.Places, Pck)
	case taken:
		return m.Accepted || len(m.Deliveries) > 0
	}
	return false
}
