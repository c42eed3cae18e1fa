// Package check judges histories: linear-time checkers and porcupine models,
// and the anomalies that they report.
package check

// A Validity is the answer of a checker. Unknown is not valid.
type Validity string

// The answers.
const (
	Valid   Validity = "valid"
	Invalid Validity = "invalid"
	Unknown Validity = "unknown"
)

// An Anomaly is one thing that went wrong.
type Anomaly struct {
	Kind        string `json:"kind"`        // one of the kinds of the table in docs, such as "lost-message"
	Subject     string `json:"subject"`     // what it happened to: a message's id, a list, a lock, a process
	Explanation string `json:"explanation"` // one plain sentence
	Step        int    `json:"step"`        // the decision at which it came about, or -1
}

// A Verdict is what a checker says of one schedule.
type Verdict struct {
	Verdict   Validity  `json:"verdict"`
	Anomalies []Anomaly `json:"anomalies"`     // what breaks the promise, and what does not (Allowed)
	Allowed   []Anomaly `json:"allowed"`       // seen, and within what the test promises
	Why       string    `json:"why,omitempty"` // why the verdict is unknown
}
