// Check takes the lock FILE if it is not there, and makes and removes MARK
// while it holds it: check LOCK MARK. Between the look and the making of the
// lock another can get in; with the argument "safe" nobody can.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	lock, mark, safe := os.Args[1], os.Args[2], len(os.Args) > 3
	for !take(lock, safe) {
		time.Sleep(time.Second)
	}
	for _, err := range []error{os.WriteFile(mark, nil, 0o666), os.Remove(mark), os.Remove(lock)} {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func take(lock string, safe bool) bool {
	flags := os.O_WRONLY | os.O_CREATE
	if safe {
		flags |= os.O_EXCL
	} else if _, err := os.Stat(lock); err == nil {
		return false
	}
	f, err := os.OpenFile(lock, flags, 0o666)
	if err != nil {
		return false
	}
	return f.Close() == nil
}
