package workloads

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/runner/list"
	"screwtape/runner/queue"
)

// What a queue test has to do with the list to which its messages go. Runners
// look the list up where one of them is that of the queue in, which changes it.

// listLifetime is what LIST_LOCK_LIFETIME is set to in queue tests: with
// Mailman's 5 hours a message whose list is locked by a program that has died
// would be put back, every ten seconds, 1,800 times. patience is how long, in
// virtual time, runners wait for a lock: longer than a deferred message waits.
const (
	listLifetime = time.Minute
	patience     = 3 * time.Hour
)

// lists reports whether the runners look the list up.
func (q *Queue) lists() bool { return slices.Contains(q.config.Queues, queue.In) }

// judgeList adds what is wrong with the list. It counts its posts: one for each
// time that an incoming runner has saved it. Files that a save has left break
// no promise, but are told.
func (q *Queue) judgeList(e *harness.End, v check.Verdict) check.Verdict {
	if !q.profile.ListFiles {
		return v
	}
	final, found := finalList(e)
	broken, stranded := withoutStranded(found)
	v.Allowed = append(v.Allowed, stranded...)
	if len(broken) > 0 {
		v.Verdict, v.Anomalies = check.Invalid, append(v.Anomalies, broken...)
	}
	if posts, _ := strconv.Atoi(final.values[anAttribute+" "+list.Posts]); !unreadable(broken, "config.pck") && posts < q.posts {
		v.Verdict = check.Invalid
		v.Anomalies = append(v.Anomalies, check.Anomaly{Kind: check.LostUpdate, Subject: "config.pck", Step: -1,
			Explanation: fmt.Sprintf("the list counts %d posts; incoming runners have saved it %d times, each time with one more", posts, q.posts)})
	}
	return v
}
