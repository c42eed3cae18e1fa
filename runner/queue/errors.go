package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
)

// A valueError is what Python raises as ValueError.
type valueError string

func (e valueError) Error() string { return string(e) }

func tooFewValues(p profile.Profile) string {
	if p.Python == 2 {
		return "need more than 1 value to unpack"
	}
	return "not enough values to unpack (expected 2, got 1)"
}

func badFloat(p profile.Profile, s string) string {
	if p.Python == 2 {
		return "could not convert string to float: " + s
	}
	return "could not convert string to float: " + quote(s)
}

func badInt(p profile.Profile, s string) string {
	if p.Python == 2 {
		s = strings.TrimSuffix(s, "L")
	}
	return "invalid literal for int() with base 16: " + quote(s)
}

// quote is Python's repr of a plain string; what is not plain is escaped, so
// that a log line stays one line.
func quote(s string) string {
	q := fmt.Sprintf("%q", s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if strings.Contains(q, "'") && !strings.Contains(q, `"`) {
		return `"` + q + `"`
	}
	return "'" + strings.ReplaceAll(q, "'", `\'`) + "'"
}

// ErrorText is the error as Python words it: str() of the exception. Python 2
// has no file names in an error of rename, Python 3 both; an entry that ends too
// early is an EOFError without a word in Python 2.
func ErrorText(p profile.Profile, err error) string {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &linkErr):
		if p.Python == 2 {
			return errnoText(linkErr.Err)
		}
		return errnoText(linkErr.Err) + ": " + quote(linkErr.Old) + " -> " + quote(linkErr.New)
	case errors.As(err, &pathErr):
		return errnoText(pathErr.Err) + ": " + quote(pathErr.Path)
	case errors.Is(err, pickle.ErrTruncated):
		if p.Python == 2 {
			return ""
		}
		return "Ran out of input"
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}

// errnoText is Python's beginning of an error of the system.
func errnoText(err error) string {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err.Error()
	}
	text := errno.Error()
	if errno == syscall.ESTALE { // Go: "stale NFS file handle"
		text = "stale file handle"
	}
	return fmt.Sprintf("[Errno %d] %s%s", int(errno), strings.ToUpper(text[:1]), text[1:])
}

// Uncaught is the last line of the traceback with which a Python program ends
// for this error.
func Uncaught(p profile.Profile, err error) string {
	text := ErrorText(p, err)
	if class := exception(p, err); class != "" {
		return class + ": " + text
	}
	return text
}

// exception is the class of an error of Python's; "" is one of Mailman's own, whose
// text tells it.
func exception(p profile.Profile, err error) string {
	var v valueError
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	isPath, isLink := errors.As(err, &pathErr), errors.As(err, &linkErr)
	switch {
	case errors.As(err, &v):
		return "ValueError"
	case p.Python == 3 && errors.Is(err, fs.ErrNotExist):
		return "FileNotFoundError"
	case p.Python == 3 && errors.Is(err, fs.ErrExist):
		return "FileExistsError"
	case p.Python == 3 && errors.Is(err, fs.ErrPermission):
		return "PermissionError"
	case !isPath && !isLink:
		return ""
	case p.Python == 2 && isPath && (pathErr.Op == "open" || pathErr.Op == "read" || pathErr.Op == "write"):
		return "IOError"
	}
	return "OSError"
}
