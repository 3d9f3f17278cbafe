package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Hash is the name of an object.
type Hash = plumbing.Hash

// Refs are what a server says of a repository when a session begins.
type Refs struct {
	url  string
	adv  *packp.AdvRefs
	head string // the branch that HEAD names, empty if unknown
}

// Branch is the commit at the head of a branch; failure.NotFound names the branch, and what branches there are.
func (r Refs) Branch(name string) (Hash, error) {
	if h, ok := r.adv.References[plumbing.NewBranchReferenceName(name).String()]; ok {
		return h, nil
	}
	err := failure.New(failure.NotFound, "branch %q does not exist in %s", name, r.url)
	return Hash{}, failure.WithHint(err, "the branches are: %s", r.someBranches())
}

// Heads are the commits at the heads of all branches, each once.
func (r Refs) Heads() []Hash {
	var heads []Hash
	seen := map[Hash]bool{}
	for name, h := range r.adv.References {
		if strings.HasPrefix(name, "refs/heads/") && !seen[h] {
			seen[h] = true
			heads = append(heads, h)
		}
	}
	return heads
}

// DefaultBranch is the branch that the server's HEAD names, empty if it does not tell.
func (r Refs) DefaultBranch() string { return r.head }

// maxNamed bounds how many branches a message names.
const maxNamed = 10

func (r Refs) someBranches() string {
	var names []string
	for name := range r.adv.References {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			names = append(names, branch)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	sort.Strings(names)
	if len(names) > maxNamed {
		names = append(names[:maxNamed], "...")
	}
	return strings.Join(names, ", ")
}

// AnyCommit says that the server gives out every commit that a branch reaches, not only the heads.
func (r Refs) AnyCommit() bool {
	return r.adv.Capabilities.Supports(capability.AllowReachableSHA1InWant)
}

// Filter says that the server can send commits without their trees.
func (r Refs) Filter() bool { return r.adv.Capabilities.Supports(capability.Filter) }

// Request asks for objects.
type Request struct {
	// Wants are the commits whose history is asked for.
	Wants []Hash
	// Depth is how many commits of the history, counted from Wants; 0 means all that is not had already, and Unlimited all, also
	// what is missing behind Shallow.
	Depth int
	// CommitsOnly asks for commits without trees and files. Refs.Filter says whether the server can.
	CommitsOnly bool
	// Have are commits that are here already with all that they need, and Shallow those of them whose parents are not here.
	Have, Shallow []Hash
}

// Answer is what a server sends for a Request.
type Answer struct {
	// Pack is a pack of all objects asked for and not had, without bases outside of it.
	Pack io.Reader
	// Shallow are commits whose parents were not sent; Unshallow commits that were such before.
	Shallow, Unshallow []Hash
}

// List reads what branches there are.
func (r *Remote) List(ctx context.Context) (Refs, error) {
	var refs Refs
	err := r.do(ctx, "reading the branches of", func(ctx context.Context) error {
		s, err := connect(ctx, r.client.NewUploadPackSession, r)
		if err != nil {
			return err
		}
		defer s.Close()
		refs, err = r.refs(s.AdvertisedReferencesContext(ctx))
		return err
	})
	return refs, err
}

func (r *Remote) refs(adv *packp.AdvRefs, err error) (Refs, error) {
	if err != nil {
		return Refs{}, err
	}
	refs := Refs{url: r.url.String(), adv: adv}
	for _, value := range adv.Capabilities.Get(capability.SymRef) {
		if branch, ok := strings.CutPrefix(value, "HEAD:refs/heads/"); ok {
			refs.head = branch
		}
	}
	return refs, nil
}

// Fetch asks for objects in one session: plan sees the branches and says what to ask for, receive gets the answer. Both are called
// again, from the start, when a try fails for a reason that passes by itself.
func (r *Remote) Fetch(ctx context.Context, plan func(Refs) (Request, error), receive func(context.Context, Answer) error) error {
	return r.do(ctx, "fetching", func(ctx context.Context) error {
		s, err := connect(ctx, r.client.NewUploadPackSession, r)
		if err != nil {
			return err
		}
		defer s.Close()
		refs, err := r.refs(s.AdvertisedReferencesContext(ctx))
		if err != nil {
			return err
		}
		request, err := plan(refs)
		if err != nil {
			return err
		}
		req, err := request.encode(refs)
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		answer, err := s.UploadPack(ctx, req)
		if err != nil {
			return err
		}
		defer answer.Close()
		alive := watch(answer, stop)
		defer alive.stop()
		err = receive(ctx, Answer{Pack: demux(alive, req), Shallow: answer.Shallows, Unshallow: answer.Unshallows})
		if err = stalled(ctx, err); err != nil {
			stop(err)
			abandon(answer)
		}
		return err
	})
}

// encode writes the request in the words of the protocol.
func (q Request) encode(refs Refs) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequest()
	for _, c := range []capability.Capability{capability.Sideband64k, capability.OFSDelta, capability.NoProgress} {
		if refs.adv.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return nil, fmt.Errorf("capability %s: %w", c, err)
			}
		}
	}
	if (q.Depth != 0 || len(q.Shallow) > 0) && refs.adv.Capabilities.Supports(capability.Shallow) {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, fmt.Errorf("capability shallow: %w", err)
		}
		req.Depth, req.Shallows = packp.DepthCommits(q.Depth), q.Shallow
		if q.Depth == Unlimited {
			req.Depth = packp.DepthCommits(infinite)
		}
	}
	if q.CommitsOnly {
		if err := req.Capabilities.Set(capability.Filter); err != nil {
			return nil, fmt.Errorf("capability filter: %w", err)
		}
		req.Filter = packp.FilterTreeDepth(0)
	}
	req.Wants, req.Haves = q.Wants, q.Have
	return req, nil
}

// Unlimited is the Depth that makes a shallow history complete.
const Unlimited = -1

// infinite is the depth by which git itself asks for all of a history.
const infinite = 0x7fffffff

// demux takes the pack out of the stream.
func demux(stream io.Reader, req *packp.UploadPackRequest) io.Reader {
	if req.Capabilities.Supports(capability.Sideband64k) {
		return sideband.NewDemuxer(sideband.Sideband64k, stream)
	}
	return stream
}

var errStalled = errors.New("no data for " + stallTimeout.String())

// watched ends a session whose server has fallen silent.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func watch(r io.Reader, stop context.CancelCauseFunc) *watched {
	return &watched{r: r, timer: time.AfterFunc(stallTimeout, func() { stop(errStalled) })}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.timer.Reset(stallTimeout)
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }

// abandon makes go-git end the program that serves a local repository, once the session's context has ended: it does so only when a
// read fails, and closing the answer would wait for a program that waits for its output to be read.
func abandon(answer io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(answer, maxAbandoned)) }

// maxAbandoned bounds what is read of buffers until a read fails, in bytes.
const maxAbandoned = 1 << 20

// stalled tells a session that was ended because it fell silent from one that was cancelled.
func stalled(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// NewHash reads 40 hex digits; anything else is the zero Hash.
func NewHash(text string) Hash {
	if !plumbing.IsHash(text) {
		return Hash{}
	}
	return plumbing.NewHash(text)
}
