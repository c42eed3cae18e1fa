package share

// A Class says what the controller does with a request when it arrives.
type Class int

const (
	// Pass: served at once. The system call behind it was already held at its
	// entry, or nothing that a program sees is decided by it.
	Pass Class = iota
	// Hold: held at the request, since the system call is not trapped at its
	// entry. It holds no lock in the kernel that another call needs.
	Hold
	// HoldIfLocked: Hold where it gives up a lock, Pass otherwise.
	HoldIfLocked
)

// A method is one method of fuse.RawFileSystem, as the gate sees it.
type method struct {
	name  string
	class Class
	// reads and writes are the kinds of resources that it may read and write:
	//
	//	e:INO/NAME  the entry of a name in a directory
	//	l:INO       the set of entries of a directory, which a listing reads
	//	d:INO       data, and how long it is
	//	a:INO       attributes that change with use: size, link count, times
	//	t:INO       all time stamps at once, which nothing reads: older ones are gone
	//	w:INO       where the way through it leads: of a symbolic link, or a directory
	//	p:INO       mode and owner, which checks of permission read
	//	k:INO       locks
	//
	// Whatever adds or removes an entry adds to its directory's "l" and "a":
	// two that do so under different names do not conflict. Only a
	// GETATTR reads "a", and no LOOKUP, though its reply carries attributes:
	// with time-outs of 0 the kernel uses none of them for a stat, but asks
	// again by a GETATTR of the last component. A GETATTR that is part of a
	// path walk tells a program nothing; the controller leaves the footprints
	// of those out. So a rename does not conflict with a stat of another name
	// in its directory, only with a stat of the directory itself.
	//
	// Whatever is about a directory reads the entries of the path to it, and
	// the right to walk along it.
	//
	// "p" is read only for callers that are not root, whom every check lets
	// pass but that of the right to execute a file. Access times do not change
	// by reading.
	reads, writes string
}

// methods is every method of fuse.RawFileSystem.
var methods = []method{
	// Never asked for by a request.
	{"String", Pass, "", ""},
	{"SetDebug", Pass, "", ""},
	{"Init", Pass, "", ""},
	{"OnUnmount", Pass, "", ""},

	// Names.
	{"Lookup", Pass, "ep", ""},
	{"Forget", Pass, "", ""},
	{"Mknod", Pass, "ep", "elad"},
	{"Mkdir", Pass, "ep", "elad"},
	{"Unlink", Pass, "ep", "ela"},
	{"Rmdir", Pass, "elp", "ela"},
	{"Rename", Pass, "elp", "elaw"},
	{"Link", Pass, "ep", "ela"},
	{"Symlink", Pass, "ep", "elad"},
	{"Readlink", Pass, "w", ""}, // a target never changes

	// Attributes.
	{"GetAttr", Pass, "epa", ""},
	{"Statx", Pass, "", ""}, // not there: the kernel takes GETATTR
	{"SetAttr", Pass, "ep", "adtp"},
	{"Access", Pass, "ep", ""},
	{"GetXAttr", Pass, "", ""}, // extended attributes are not there
	{"ListXAttr", Pass, "", ""},
	{"SetXAttr", Pass, "", ""},
	{"RemoveXAttr", Pass, "", ""},
	{"StatFs", Pass, "", ""}, // a constant

	// Files.
	{"Create", Pass, "ep", "elad"},
	{"Tmpfile", Pass, "ep", "ead"},
	{"Open", Pass, "p", "ad"},
	{"Read", Hold, "d", ""},
	{"Lseek", Pass, "d", ""},
	{"Write", Pass, "", "ad"},
	{"Writev", Pass, "", "ad"},
	{"Fallocate", Pass, "d", "ad"},
	{"CopyFileRange", Pass, "", ""}, // not there: the kernel reads and writes
	{"Ioctl", Pass, "", ""},         // none
	{"Fsync", Pass, "", ""},
	{"Flush", HoldIfLocked, "", "k"},
	{"Release", Pass, "", "k"},

	// Directories.
	{"OpenDir", Pass, "elp", ""},
	{"ReadDir", Pass, "l", ""}, // reads a listing only where one was rewound
	{"ReadDirPlus", Pass, "", ""},
	{"ReleaseDir", Pass, "", ""},
	{"FsyncDir", Pass, "", ""},

	// Locks.
	{"GetLk", Hold, "k", ""},
	{"SetLk", Hold, "", "k"},
	{"SetLkw", Hold, "", "k"},
}

// Opcodes of the FUSE protocol that the code here knows by number.
const (
	opForget      = 2
	opRelease     = 18
	opFlush       = 25
	opInit        = 26
	opReleasedir  = 29
	opGetlk       = 31
	opSetlk       = 32
	opSetlkw      = 33
	opInterrupt   = 36
	opBatchForget = 42
	opRename2     = 45
)

// An opcode is one kind of request.
type opcode struct {
	name   string
	method string // of fuse.RawFileSystem, or "" where the library answers by itself
}

// opcodes is indexed by number: enum fuse_opcode in linux/fuse.h.
var opcodes = [...]opcode{
	1:             {"LOOKUP", "Lookup"},
	opForget:      {"FORGET", "Forget"},
	3:             {"GETATTR", "GetAttr"},
	4:             {"SETATTR", "SetAttr"},
	5:             {"READLINK", "Readlink"},
	6:             {"SYMLINK", "Symlink"},
	8:             {"MKNOD", "Mknod"},
	9:             {"MKDIR", "Mkdir"},
	10:            {"UNLINK", "Unlink"},
	11:            {"RMDIR", "Rmdir"},
	12:            {"RENAME", "Rename"},
	13:            {"LINK", "Link"},
	14:            {"OPEN", "Open"},
	15:            {"READ", "Read"},
	16:            {"WRITE", "Writev"},
	17:            {"STATFS", "StatFs"},
	opRelease:     {"RELEASE", "Release"},
	20:            {"FSYNC", "Fsync"},
	21:            {"SETXATTR", "SetXAttr"},
	22:            {"GETXATTR", "GetXAttr"},
	23:            {"LISTXATTR", "ListXAttr"},
	24:            {"REMOVEXATTR", "RemoveXAttr"},
	opFlush:       {"FLUSH", "Flush"},
	opInit:        {"INIT", ""},
	27:            {"OPENDIR", "OpenDir"},
	28:            {"READDIR", "ReadDir"},
	opReleasedir:  {"RELEASEDIR", "ReleaseDir"},
	30:            {"FSYNCDIR", "FsyncDir"},
	opGetlk:       {"GETLK", "GetLk"},
	opSetlk:       {"SETLK", "SetLk"},
	opSetlkw:      {"SETLKW", "SetLkw"},
	34:            {"ACCESS", "Access"},
	35:            {"CREATE", "Create"},
	opInterrupt:   {"INTERRUPT", ""},
	37:            {"BMAP", ""},
	38:            {"DESTROY", ""},
	39:            {"IOCTL", "Ioctl"},
	40:            {"POLL", ""},
	41:            {"NOTIFY_REPLY", ""},
	opBatchForget: {"BATCH_FORGET", "Forget"},
	43:            {"FALLOCATE", "Fallocate"},
	44:            {"READDIRPLUS", "ReadDirPlus"},
	opRename2:     {"RENAME2", "Rename"},
	46:            {"LSEEK", "Lseek"},
	47:            {"COPY_FILE_RANGE", "CopyFileRange"},
	48:            {"SETUPMAPPING", ""},
	49:            {"REMOVEMAPPING", ""},
	50:            {"SYNCFS", ""},
	51:            {"TMPFILE", "Tmpfile"},
	52:            {"STATX", "Statx"},
	53:            {"COPY_FILE_RANGE_64", ""},
}

// classes is the gate class of each opcode.
var classes = func() (classes [len(opcodes)]Class) {
	for n, op := range opcodes {
		for _, m := range methods {
			if op.method == m.name {
				classes[n] = m.class
			}
		}
	}
	return classes
}()
