package git

import (
	"io"
	"net/http"
	"strings"
)

// maxError and maxRefs bound what is read of an error page and of a list of branches, in bytes. go-git reads both whole.
const (
	maxError = 2 << 10
	maxRefs  = 256 << 20
)

// bounded limits what a hostile or broken server can make go-git hold in memory.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case res.StatusCode >= http.StatusMultipleChoices:
		res.Body = limited{io.LimitReader(res.Body, maxError), res.Body}
	case strings.HasSuffix(req.URL.Path, "/info/refs"):
		res.Body = limited{io.LimitReader(res.Body, maxRefs), res.Body}
	}
	return res, nil
}

type limited struct {
	io.Reader
	io.Closer
}
