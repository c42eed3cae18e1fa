package node

import (
	"sort"

	"golang.org/x/sys/unix"
)

// A Kind says what the controller does with a trapped call.
type Kind int

// The kinds.
const (
	OnPath  Kind = iota // names one path or two: held when one lies on the share
	OnFile              // works on a descriptor: held when that is open on the share
	Sleep               // ends when virtual time has come
	Clock               // answered from the node's clock
	Fork                // makes a child or a thread: noted, goes on
	Exit                // ends the process: noted, goes on
	Connect             // opens a connection: noted, goes on
	Signal              // sends a signal: held, unless it is for a thread of the caller's own (tgkill, tkill)
	Alarm               // sets or asks the timer that sends SIGALRM: kept by the controller
	Random              // answered from the process's seeded stream
	Begin               // the first call of a program: its vDSO is switched off
	Wait                // waits for descriptors or for a time
	Futex               // waits for a word in memory or for a time
	Await               // waits for signals or for a time
	Timer               // makes, sets or asks a timer: kept by the controller
	Receive             // reads: waits as long as its socket's SO_RCVTIMEO says
	Number              // asks for the process's own pid: noted, goes on
	Exec                // starts a program: noted; held when the file lies on the share
	Send                // sends by a socket: held on connections of a test's ports
)

// A Call describes one system call that is trapped at its entry.
type Call struct {
	Verb  string // as tapes have it: the call's name without its variants
	Kind  Kind
	Paths []Arg // where its paths are
	File  int   // OnFile: the argument that holds the descriptor
	// Ends are the FUSE requests that carry the call out; the outcome of the
	// last of them is the call's. One that succeeded in every look-up and
	// sent none of them was refused by the kernel with Refused.
	Ends    []string
	Refused unix.Errno
	// Timed calls are trapped for programs in virtual time alone, Built ones for
	// built-in programs alone.
	Timed, Built bool
}

// An Arg tells where a call has a path: the argument with the directory
// descriptor (-1: the working directory) and the one with the string.
type Arg struct{ Dir, Path int }

// at and plain are the common shapes of path arguments.
func at(dir, path int) []Arg { return []Arg{{dir, path}} }
func plain(path int) []Arg   { return []Arg{{-1, path}} }

var (
	endStat   = []string{"GETATTR", "LOOKUP", "STATX"}
	endOpen   = []string{"CREATE", "OPEN", "OPENDIR"}
	endSet    = []string{"SETATTR"}
	endWrite  = []string{"WRITE"}
	endRename = []string{"RENAME", "RENAME2"}
	endMknod  = []string{"MKNOD"}
	endCopy   = []string{"COPY_FILE_RANGE", "WRITE", "READ"}
)

// Calls are the system calls that are trapped, by number (x86-64). Reads, lock
// calls and closes are not among them: the kernel holds no lock that others
// need while their FUSE request waits, so they are held there (docs/gate.md).
var Calls = map[int]Call{
	unix.SYS_OPEN:    {Verb: "open", Paths: plain(0), Ends: endOpen, Refused: unix.EEXIST},
	unix.SYS_OPENAT:  {Verb: "open", Paths: at(0, 1), Ends: endOpen, Refused: unix.EEXIST},
	unix.SYS_OPENAT2: {Verb: "open", Paths: at(0, 1), Ends: endOpen, Refused: unix.EEXIST},
	unix.SYS_CREAT:   {Verb: "open", Paths: plain(0), Ends: endOpen, Refused: unix.EEXIST},

	unix.SYS_RENAME:    {Verb: "rename", Paths: []Arg{{-1, 0}, {-1, 1}}, Ends: endRename, Refused: unix.EEXIST},
	unix.SYS_RENAMEAT:  {Verb: "rename", Paths: []Arg{{0, 1}, {2, 3}}, Ends: endRename, Refused: unix.EEXIST},
	unix.SYS_RENAMEAT2: {Verb: "rename", Paths: []Arg{{0, 1}, {2, 3}}, Ends: endRename, Refused: unix.EEXIST},
	unix.SYS_LINK:      {Verb: "link", Paths: []Arg{{-1, 0}, {-1, 1}}, Ends: []string{"LINK"}, Refused: unix.EEXIST},
	unix.SYS_LINKAT:    {Verb: "link", Paths: []Arg{{0, 1}, {2, 3}}, Ends: []string{"LINK"}, Refused: unix.EEXIST},
	unix.SYS_SYMLINK:   {Verb: "symlink", Paths: plain(1), Ends: []string{"SYMLINK"}, Refused: unix.EEXIST},
	unix.SYS_SYMLINKAT: {Verb: "symlink", Paths: at(1, 2), Ends: []string{"SYMLINK"}, Refused: unix.EEXIST},
	unix.SYS_UNLINK:    {Verb: "unlink", Paths: plain(0), Ends: []string{"UNLINK"}, Refused: unix.EISDIR},
	unix.SYS_UNLINKAT:  {Verb: "unlink", Paths: at(0, 1), Ends: []string{"UNLINK", "RMDIR"}, Refused: unix.EISDIR},
	unix.SYS_MKDIR:     {Verb: "mkdir", Paths: plain(0), Ends: []string{"MKDIR"}, Refused: unix.EEXIST},
	unix.SYS_MKDIRAT:   {Verb: "mkdir", Paths: at(0, 1), Ends: []string{"MKDIR"}, Refused: unix.EEXIST},
	unix.SYS_RMDIR:     {Verb: "rmdir", Paths: plain(0), Ends: []string{"RMDIR"}, Refused: unix.ENOTDIR},
	unix.SYS_MKNOD:     {Verb: "mknod", Paths: plain(0), Ends: endMknod, Refused: unix.EEXIST},
	unix.SYS_MKNODAT:   {Verb: "mknod", Paths: at(0, 1), Ends: endMknod, Refused: unix.EEXIST},

	unix.SYS_STAT:       {Verb: "stat", Paths: plain(0), Ends: endStat},
	unix.SYS_LSTAT:      {Verb: "stat", Paths: plain(0), Ends: endStat},
	unix.SYS_NEWFSTATAT: {Verb: "stat", Paths: at(0, 1), Ends: endStat},
	unix.SYS_STATX:      {Verb: "stat", Paths: at(0, 1), Ends: endStat},
	unix.SYS_ACCESS:     {Verb: "access", Paths: plain(0), Ends: []string{"ACCESS", "LOOKUP"}},
	unix.SYS_FACCESSAT:  {Verb: "access", Paths: at(0, 1), Ends: []string{"ACCESS", "LOOKUP"}},
	unix.SYS_FACCESSAT2: {Verb: "access", Paths: at(0, 1), Ends: []string{"ACCESS", "LOOKUP"}},
	unix.SYS_READLINK:   {Verb: "readlink", Paths: plain(0), Ends: []string{"READLINK"}, Refused: unix.EINVAL},
	unix.SYS_READLINKAT: {Verb: "readlink", Paths: at(0, 1), Ends: []string{"READLINK"}, Refused: unix.EINVAL},
	unix.SYS_STATFS:     {Verb: "statfs", Paths: plain(0), Ends: []string{"STATFS"}},
	unix.SYS_CHDIR:      {Verb: "chdir", Paths: plain(0), Ends: []string{"ACCESS", "LOOKUP", "GETATTR"}},

	unix.SYS_CHMOD:     {Verb: "chmod", Paths: plain(0), Ends: endSet},
	unix.SYS_FCHMODAT:  {Verb: "chmod", Paths: at(0, 1), Ends: endSet},
	unix.SYS_FCHMODAT2: {Verb: "chmod", Paths: at(0, 1), Ends: endSet},
	unix.SYS_CHOWN:     {Verb: "chown", Paths: plain(0), Ends: endSet},
	unix.SYS_LCHOWN:    {Verb: "chown", Paths: plain(0), Ends: endSet},
	unix.SYS_FCHOWNAT:  {Verb: "chown", Paths: at(0, 1), Ends: endSet},
	unix.SYS_UTIME:     {Verb: "utimens", Paths: plain(0), Ends: endSet},
	unix.SYS_UTIMES:    {Verb: "utimens", Paths: plain(0), Ends: endSet},
	unix.SYS_FUTIMESAT: {Verb: "utimens", Paths: at(0, 1), Ends: endSet},
	unix.SYS_UTIMENSAT: {Verb: "utimens", Paths: at(0, 1), Ends: endSet},
	unix.SYS_TRUNCATE:  {Verb: "truncate", Paths: plain(0), Ends: endSet},

	unix.SYS_WRITE:           {Verb: "write", Kind: OnFile, Ends: endWrite},
	unix.SYS_PWRITE64:        {Verb: "write", Kind: OnFile, Ends: endWrite},
	unix.SYS_WRITEV:          {Verb: "write", Kind: OnFile, Ends: endWrite},
	unix.SYS_PWRITEV:         {Verb: "write", Kind: OnFile, Ends: endWrite},
	unix.SYS_PWRITEV2:        {Verb: "write", Kind: OnFile, Ends: endWrite},
	unix.SYS_SENDFILE:        {Verb: "sendfile", Kind: OnFile, Ends: endCopy},
	unix.SYS_SPLICE:          {Verb: "splice", Kind: OnFile, File: 2, Ends: endCopy},
	unix.SYS_COPY_FILE_RANGE: {Verb: "copy", Kind: OnFile, File: 2, Ends: endCopy},
	unix.SYS_FSTAT:           {Verb: "stat", Kind: OnFile, Ends: endStat},
	unix.SYS_FSYNC:           {Verb: "fsync", Kind: OnFile, Ends: []string{"FSYNC", "FSYNCDIR"}},
	unix.SYS_FDATASYNC:       {Verb: "fsync", Kind: OnFile, Ends: []string{"FSYNC", "FSYNCDIR"}},
	unix.SYS_FTRUNCATE:       {Verb: "truncate", Kind: OnFile, Ends: endSet},
	unix.SYS_FALLOCATE:       {Verb: "fallocate", Kind: OnFile, Ends: []string{"FALLOCATE"}},
	unix.SYS_FCHMOD:          {Verb: "chmod", Kind: OnFile, Ends: endSet},
	unix.SYS_FCHOWN:          {Verb: "chown", Kind: OnFile, Ends: endSet},

	unix.SYS_CLOCK_NANOSLEEP: {Verb: "sleep", Kind: Sleep},
	unix.SYS_CLOCK_GETTIME:   {Verb: "clock", Kind: Clock},
	unix.SYS_GETTIMEOFDAY:    {Verb: "clock", Kind: Clock},
	unix.SYS_TIME:            {Verb: "clock", Kind: Clock},

	unix.SYS_KILL:              {Verb: "kill", Kind: Signal},
	unix.SYS_TKILL:             {Verb: "kill", Kind: Signal},
	unix.SYS_TGKILL:            {Verb: "kill", Kind: Signal},
	unix.SYS_RT_SIGQUEUEINFO:   {Verb: "kill", Kind: Signal},
	unix.SYS_RT_TGSIGQUEUEINFO: {Verb: "kill", Kind: Signal},
	unix.SYS_PIDFD_SEND_SIGNAL: {Verb: "kill", Kind: Signal},
	unix.SYS_ALARM:             {Verb: "alarm", Kind: Alarm},
	unix.SYS_SETITIMER:         {Verb: "alarm", Kind: Alarm},
	unix.SYS_GETITIMER:         {Verb: "alarm", Kind: Alarm},
	unix.SYS_GETRANDOM:         {Verb: "random", Kind: Random},

	unix.SYS_ARCH_PRCTL:       {Kind: Begin, Timed: true},
	unix.SYS_NANOSLEEP:        {Verb: "sleep", Kind: Sleep, Timed: true},
	unix.SYS_SELECT:           {Verb: "select", Kind: Wait, Timed: true},
	unix.SYS_PSELECT6:         {Verb: "select", Kind: Wait, Timed: true},
	unix.SYS_POLL:             {Verb: "poll", Kind: Wait, Timed: true},
	unix.SYS_PPOLL:            {Verb: "poll", Kind: Wait, Timed: true},
	unix.SYS_EPOLL_WAIT:       {Verb: "poll", Kind: Wait, Timed: true},
	unix.SYS_EPOLL_PWAIT:      {Verb: "poll", Kind: Wait, Timed: true},
	unix.SYS_EPOLL_PWAIT2:     {Verb: "poll", Kind: Wait, Timed: true},
	unix.SYS_FUTEX:            {Verb: "futex", Kind: Futex, Timed: true}, // see futexFilter
	unix.SYS_RT_SIGTIMEDWAIT:  {Verb: "await", Kind: Await, Timed: true},
	unix.SYS_TIMERFD_SETTIME:  {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMERFD_GETTIME:  {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMER_CREATE:     {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMER_SETTIME:    {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMER_GETTIME:    {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMER_GETOVERRUN: {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_TIMER_DELETE:     {Verb: "timer", Kind: Timer, Timed: true},
	unix.SYS_READ:             {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_READV:            {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_RECVFROM:         {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_RECVMSG:          {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_RECVMMSG:         {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_ACCEPT:           {Verb: "receive", Kind: Receive, Timed: true},
	unix.SYS_ACCEPT4:          {Verb: "receive", Kind: Receive, Timed: true},

	unix.SYS_GETPID:     {Verb: "getpid", Kind: Number, Built: true},
	unix.SYS_CLONE:      {Verb: "fork", Kind: Fork},
	unix.SYS_CLONE3:     {Verb: "fork", Kind: Fork},
	unix.SYS_FORK:       {Verb: "fork", Kind: Fork},
	unix.SYS_VFORK:      {Verb: "fork", Kind: Fork},
	unix.SYS_EXIT_GROUP: {Verb: "exit", Kind: Exit},
	unix.SYS_CONNECT:    {Verb: "connect", Kind: Connect},
	unix.SYS_SENDTO:     {Verb: "send", Kind: Send},
	unix.SYS_SENDMSG:    {Verb: "send", Kind: Send},
	unix.SYS_EXECVE:     {Verb: "exec", Kind: Exec, Paths: plain(0), Ends: []string{"OPEN"}, Refused: unix.EACCES},
	unix.SYS_EXECVEAT:   {Verb: "exec", Kind: Exec, Paths: at(0, 1), Ends: []string{"OPEN"}, Refused: unix.EACCES},
}

// numbers are those of the Calls that a filter traps, in order. Of built-in programs
// under Direct what they send is for the mail sink alone, and is not trapped.
func numbers(f Filter) []int {
	list := make([]int, 0, len(Calls))
	for nr, c := range Calls {
		if (!c.Timed || f == Timed) && (!c.Built || f == Direct) && (c.Kind != Send || f != Direct) {
			list = append(list, nr)
		}
	}
	sort.Ints(list)
	return list
}
