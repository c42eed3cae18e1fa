package runner

import "errors"

// Exit statuses of runner send, beside 0: the server has taken the message.
const (
	exitNotTaken = 1 // it said no
	exitNoAnswer = 2 // the connection ended, or none came about: whether the server has the message is not known
)

const sendHelp = `send [flags] --to ADDRESS TEXT
It ends with 0 when the mail server has taken the message, with 1 when it refused it,
and with 2 when the connection ended before its answer, or none came about.`

// sendMain hands one message to a mail server, once.
func sendMain(args []string) int {
	fs := newFlags("send", sendHelp)
	var server mailServer
	port := fs.Uint("port", 25, "the mail server's `port` on 127.0.0.1")
	fs.BoolVar(&server.lmtp, "lmtp", false, "speak LMTP")
	from := fs.String("from", "", "the sender's `address`")
	to := fs.String("to", "", "the recipient's `address`")
	if status, ok := parse(fs, args, 1); !ok {
		return status
	}
	switch {
	case *port < 1 || *port > 65535:
		return misused(fs, "--port wants a number from 1 to 65535")
	case *to == "" || fs.NArg() == 0:
		return misused(fs, "say to whom (--to), and write the message's text")
	}
	server.port = uint16(*port)
	err := server.send(*from, []string{*to}, []byte(fs.Arg(0)))
	var refused *refusal
	switch {
	case err == nil:
		return 0
	case errors.As(err, &refused):
		say("the mail server says " + err.Error())
		return exitNotTaken
	}
	say("no answer from the mail server: " + err.Error())
	return exitNoAnswer
}
