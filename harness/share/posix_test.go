package share

import (
	"maps"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// posixSkips is what of go-fuse's posixtest the share does not pass, and why.
// Anything else that is skipped is a failure.
var posixSkips = map[string]string{
	"XAttr":      "no extended attributes, as on an NFS share of those years",
	"XAttrLarge": "no extended attributes, as on an NFS share of those years",
	"FcntlFlockLocksFile": "expects a lock of the process to be in the way of the same process; " +
		"POSIX says it is not, and go-fuse leaves it out itself",
}

func TestPosix(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			n := serve(t, NewStore(testClock()), "shared")[0]
			if reason, ok := posixSkips[name]; ok {
				t.Skip(reason)
			}
			defer func() {
				if t.Skipped() {
					t.Errorf("%s was skipped, and posixSkips does not say why", name)
				}
			}()
			posixtest.All[name](t, n.dir)
		})
	}
}
