// Package queue is a Mailman-style queue: a directory of entries that runners
// share by renaming files, without a lock.
//
// An entry is the file TIME+DIGEST.pck. It is written as .pck.tmp, and is .bak
// while a runner works on it; what cannot be worked on ends as .psv in the queue
// bad. The directory of the queues is that of qfiles in Mailman.
package queue

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"syscall"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// The queues of this name are those that Mailman gives a meaning.
const (
	In       = "in"       // what comes to a list
	Pipeline = "pipeline" // and has passed its rules; 3.3.8
	Out      = "out"      // what is to be sent
	Retry    = "retry"    // and could not be for now
	Bounces  = "bounces"  // what came back; 2.1
	Shunt    = "shunt"    // what a runner failed at
	Bad      = "bad"      // what cannot be read, as .psv
)

// Served are the queues that have runners in a version. Where lists lie in a
// database, so do bounces, and theirs is not among them.
func Served(p profile.Profile) []string {
	if p.ListFiles {
		return append(slices.Clone(p.Queues), Bounces)
	}
	return p.Queues
}

// schemaVersion is the metadata's version, QFILE_SCHEMA_VERSION.
const schemaVersion = 3

// A Switchboard is one queue as one runner sees it.
type Switchboard struct {
	profile profile.Profile
	root    string // the directory of the queues
	dir     string // this queue's
	slice   slice
	log     func(line string)
}

// Open gives the queue of this name below root, of which this runner serves
// slice number i of n, and makes its directory. Errors that the queue copes with
// are said to log, a line each.
func Open(p profile.Profile, root, name string, i, n int, log func(line string)) (*Switchboard, error) {
	sl, err := newSlice(p, i, n)
	if err != nil {
		return nil, err
	}
	s := &Switchboard{profile: p, root: root, dir: path.Join(root, name), slice: sl, log: log}
	return s, makeDir(p, s.dir)
}

// makeDir makes a directory of a queue, where there is none.
func makeDir(p profile.Profile, dir string) error {
	if p.StatDirs {
		if err := sys.Stat(dir); !errors.Is(err, syscall.ENOENT) {
			return err
		}
		if err := sys.Mkdir(dir, 0o777); err != nil {
			return err
		}
		return sys.Chmod(dir, 0o2775)
	}
	if err := sys.Mkdir(dir, 0o770); err != nil && !errors.Is(err, syscall.EEXIST) {
		return err
	}
	return nil
}

func (s *Switchboard) has(bug string) bool { return s.profile.Bugs.Has(bug) }

func (s *Switchboard) file(base, ext string) string { return s.dir + "/" + base + ext }

// now is the clock in seconds as Python's time.time() gives it.
func (s *Switchboard) now() float64 {
	sec, nsec := sys.Now()
	nsec -= nsec % s.profile.ClockStep
	return float64(sec*1e9+nsec) / 1e9
}

// encode gives a new entry's name, without extension, and its bytes. It puts
// into meta what an enqueue at this time does.
func encode(p profile.Profile, now float64, text []byte, meta pickle.Metadata) (base string, data []byte, err error) {
	for key := range meta {
		if key[:min(1, len(key))] == "_" {
			delete(meta, key) // private to one runner: not kept, nor is _bak_count
		}
	}
	named := now
	if p.ReceivedTime {
		if t, ok := meta["received_time"].(float64); ok {
			named = t
		} else {
			meta["received_time"] = now
		}
	}
	meta["version"] = int64(schemaVersion)
	meta["_parsemsg"] = true
	message, metadata, err := pickle.Encode(text, p.UnicodeText, meta)
	if err != nil {
		return "", nil, err
	}
	list, ok := meta[p.ListKey].(string)
	if !ok {
		list = "--nolist--"
	}
	// The digest covers the time too, so that the same message put in twice
	// is two entries; it does not cover the metadata.
	h := sha1.New()
	h.Write(message)
	h.Write([]byte(list + pickle.FloatRepr(now)))
	base = fmt.Sprintf("%s+%x", pickle.FloatRepr(named), h.Sum(nil))
	return base, append(message, metadata...), nil
}

// Enqueue puts a message into the queue as a new entry, and gives its name
// without extension. The metadata is changed to what the entry holds.
func (s *Switchboard) Enqueue(text []byte, meta pickle.Metadata) (string, error) {
	base, data, err := encode(s.profile, s.now(), text, meta)
	if err != nil {
		return "", err
	}
	pck := s.file(base, ".pck")
	tmp := pck + ".tmp"
	if s.has("enqueue-without-tmp") {
		tmp = pck
	}
	f, err := sys.Open(tmp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|s.profile.OpenFlags(), 0o666)
	if err != nil {
		return "", err
	}
	err = f.Write(data)
	if err == nil && !s.has("skip-fsync") {
		err = f.Sync() // whatever SYNC_AFTER_WRITE says
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil || tmp == pck {
		return base, err
	}
	return base, sys.Rename(tmp, pck)
}

// Dequeue takes an entry for this runner, by its rename to .bak, and reads it.
// The open comes first and the read last, so that of two runners one may fail in
// either of the first two.
func (s *Switchboard) Dequeue(base string) (pickle.Entry, error) {
	pck, bak := s.file(base, ".pck"), s.file(base, ".bak")
	f, err := sys.Open(pck, syscall.O_RDONLY|s.profile.OpenFlags(), 0)
	if err != nil {
		return pickle.Entry{}, err
	}
	defer f.Close()
	var data []byte
	if s.has("rename-after-read") {
		data, err = f.ReadAll()
	}
	if err == nil {
		err = sys.Rename(pck, bak)
	}
	if err != nil && !s.has("ignore-rename-error") {
		return pickle.Entry{}, err
	}
	if data == nil {
		data, err = f.ReadAll()
	}
	if err != nil {
		return pickle.Entry{}, err
	}
	return pickle.Decode(data)
}

// Peek reads an entry and leaves it. Mailman never does; the bug
// deliver-before-rename does.
func (s *Switchboard) Peek(base string) (pickle.Entry, error) {
	f, err := sys.Open(s.file(base, ".pck"), syscall.O_RDONLY|s.profile.OpenFlags(), 0)
	if err != nil {
		return pickle.Entry{}, err
	}
	defer f.Close()
	data, err := f.ReadAll()
	if err != nil {
		return pickle.Entry{}, err
	}
	return pickle.Decode(data)
}

// Finish ends the work on an entry: its .bak is removed, or preserved as .psv in
// the queue bad. A failure is logged, and that is all.
func (s *Switchboard) Finish(base string, preserve bool) {
	bak, bad := s.file(base, ".bak"), path.Join(s.root, Bad)
	if s.profile.FinishLooks && sys.Stat(bak) != nil {
		if pck := s.file(base, ".pck"); sys.Stat(pck) == nil {
			bak = pck
		}
	}
	var err error
	if preserve {
		if !s.profile.BadAtStart {
			err = makeDir(s.profile, bad)
		}
		psv := bad + "/" + base + ".psv"
		if err == nil {
			err = sys.Rename(bak, psv)
		}
		if err == nil && s.has("finish-deletes-psv") {
			err = sys.Unlink(psv)
		}
	} else {
		err = sys.Unlink(bak)
		if s.has("double-finish") {
			err = sys.Unlink(bak)
		}
	}
	if err == nil {
		return
	}
	// The reason is on a line of its own in the original.
	line := "Failed to unlink/preserve backup file: " + bak
	if s.profile.FinishSaysWhy {
		line += " " + ErrorText(s.profile, err)
	}
	s.log(line)
}

// Recover gives back what a runner of this slice left as .bak when it died, for
// another try; what was tried too often it preserves. It is for the start of a
// runner, and asks nobody whether the owner of a .bak is really dead. An error,
// such as a .bak that is gone, ends the runner.
func (s *Switchboard) Recover() error {
	if s.has("no-recovery") {
		return nil
	}
	bases, err := s.Files(".bak")
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := s.recover(base); err != nil {
			return err
		}
	}
	return nil
}

// recover gives back one entry. Its metadata is written over in place: dying in
// the midst of that damages it.
func (s *Switchboard) recover(base string) error {
	bak := s.file(base, ".bak")
	f, err := sys.Open(bak, syscall.O_RDWR|s.profile.OpenFlags(), 0)
	if err != nil {
		return err
	}
	defer f.Close() // after the rename, as in the original
	data, err := f.ReadAll()
	if err != nil {
		return err
	}
	entry, err := pickle.Decode(data)
	if err != nil {
		// Two lines in the original; 3.3.8 begins the second in upper case.
		s.log("Unpickling .bak exception: " + ErrorText(s.profile, err) + " preserving file: " + base)
		s.Finish(base, true)
		return nil
	}
	count, _ := entry.Meta["_bak_count"].(int64)
	if !s.has("bak-count-never") {
		count++
	}
	entry.Meta["_bak_count"] = count
	metadata, err := pickle.EncodeMetadata(entry.Meta)
	if err != nil {
		return err
	}
	if err := rewrite(f, entry.MetaAt, metadata); err != nil {
		return err
	}
	if count >= int64(s.profile.Tries) {
		s.log(".bak file max count, preserving file: " + base)
		s.Finish(base, true)
		return nil
	}
	if s.has("recover-without-rename") {
		return nil
	}
	return sys.Rename(bak, s.file(base, ".pck"))
}

// rewrite writes data at an offset as the file's end.
func rewrite(f *sys.File, at int, data []byte) error {
	if err := f.Seek(at); err != nil {
		return err
	}
	if err := f.Write(data); err != nil {
		return err
	}
	if err := f.Truncate(at + len(data)); err != nil {
		return err
	}
	return f.Sync()
}

// parseTime reads the time of an entry's name as Python's float() does.
func parseTime(p profile.Profile, s string) (float64, error) {
	t, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, valueError(badFloat(p, s))
	}
	return t, nil
}
