package progress

import (
	"io"
	"time"
)

// New is the reporter that suits w: Terminal if tty says that w is one, else Plain.
func New(w io.Writer, tty bool) Reporter {
	if tty {
		return NewTerminal(w, time.Now)
	}
	return NewPlain(w, time.Now)
}
