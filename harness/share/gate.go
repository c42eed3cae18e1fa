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
	// pass. Access times do not change by reading.
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
	{"Rename", Pass, "elp", "ela"},
	{"Link", Pass, "ep", "ela"},
	{"Symlink", Pass, "ep", "elad"},
	{"Readlink", Pass, "", ""}, // a target never changes

	// Attributes.
	{"GetAttr", Pass, "epa", ""},
	{"Statx", Pass, "", ""}, // not there: the kernel takes GETATTR
	{"SetAttr", Pass, "ep", "adp"},
	{"Access", Pass, "ep", ""},
	{"GetXAttr", Pass, "", ""}, // extended attributes are not there
	{"ListXAttr", Pass, "", ""},
	{"SetXAttr", Pass, "", ""},
	{"RemoveXAttr", Pass, "", ""},
	{"StatFs", Pass, "", ""}, // a constant

	// Files.
	{"Create", Pass, "ep", "elad"},
	{"Tmpfile", Pass, "ep", "ad"},
	{"Open", Pass, "p", "ad"},
	{"Read", Hold, "d", ""},
	{"Lseek", Pass, "d", ""},
	{"Write", Pass, "", "ad"},
	{"Writev", Pass, "", "ad"},
	{"Fallocate", Pass, "", "ad"},
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
	opFlush       = 25
	opInit        = 26
	opSetlk       = 32
	opGetlk       = 31
	opSetlkw      = 33
	opRelease     = 18
	opReleasedir  = 29
	opInterrupt   = 36
	opBatchForget = 42
	opRename2     = 45
)

// An opcode is one kind of request.
type opcode struct {
	name   string
	method string // of fuse.RawFileSystem, or "" where the library answers by itself
	// args is the size of what stands before the names, in bytes, and names
	// how many entry names there are.
	args, names int
}

// opcodes is indexed by number: enum fuse_opcode in linux/fuse.h.
var opcodes = [...]opcode{
	1:             {"LOOKUP", "Lookup", 0, 1},
	opForget:      {"FORGET", "Forget", 0, 0},
	3:             {"GETATTR", "GetAttr", 0, 0},
	4:             {"SETATTR", "SetAttr", 0, 0},
	5:             {"READLINK", "Readlink", 0, 0},
	6:             {"SYMLINK", "Symlink", 0, 1},
	8:             {"MKNOD", "Mknod", 16, 1},
	9:             {"MKDIR", "Mkdir", 8, 1},
	10:            {"UNLINK", "Unlink", 0, 1},
	11:            {"RMDIR", "Rmdir", 0, 1},
	12:            {"RENAME", "Rename", 8, 2},
	13:            {"LINK", "Link", 8, 1},
	14:            {"OPEN", "Open", 0, 0},
	15:            {"READ", "Read", 0, 0},
	16:            {"WRITE", "Writev", 0, 0},
	17:            {"STATFS", "StatFs", 0, 0},
	opRelease:     {"RELEASE", "Release", 0, 0},
	20:            {"FSYNC", "Fsync", 0, 0},
	21:            {"SETXATTR", "SetXAttr", 0, 0},
	22:            {"GETXATTR", "GetXAttr", 0, 0},
	23:            {"LISTXATTR", "ListXAttr", 0, 0},
	24:            {"REMOVEXATTR", "RemoveXAttr", 0, 0},
	opFlush:       {"FLUSH", "Flush", 0, 0},
	opInit:        {"INIT", "", 0, 0},
	27:            {"OPENDIR", "OpenDir", 0, 0},
	28:            {"READDIR", "ReadDir", 0, 0},
	opReleasedir:  {"RELEASEDIR", "ReleaseDir", 0, 0},
	30:            {"FSYNCDIR", "FsyncDir", 0, 0},
	opGetlk:       {"GETLK", "GetLk", 0, 0},
	opSetlk:       {"SETLK", "SetLk", 0, 0},
	opSetlkw:      {"SETLKW", "SetLkw", 0, 0},
	34:            {"ACCESS", "Access", 0, 0},
	35:            {"CREATE", "Create", 16, 1},
	opInterrupt:   {"INTERRUPT", "", 0, 0},
	37:            {"BMAP", "", 0, 0},
	38:            {"DESTROY", "", 0, 0},
	39:            {"IOCTL", "Ioctl", 0, 0},
	40:            {"POLL", "", 0, 0},
	41:            {"NOTIFY_REPLY", "", 0, 0},
	opBatchForget: {"BATCH_FORGET", "Forget", 0, 0},
	43:            {"FALLOCATE", "Fallocate", 0, 0},
	44:            {"READDIRPLUS", "ReadDirPlus", 0, 0},
	opRename2:     {"RENAME2", "Rename", 16, 2},
	46:            {"LSEEK", "Lseek", 0, 0},
	47:            {"COPY_FILE_RANGE", "CopyFileRange", 0, 0},
	48:            {"SETUPMAPPING", "", 0, 0},
	49:            {"REMOVEMAPPING", "", 0, 0},
	50:            {"SYNCFS", "", 0, 0},
	51:            {"TMPFILE", "Tmpfile", 0, 0},
	52:            {"STATX", "Statx", 0, 0},
	53:            {"COPY_FILE_RANGE_64", "", 0, 0},
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
