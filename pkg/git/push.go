package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// ErrMoved says that the branch is not, or no longer, at the commit that the new one builds on.
var ErrMoved = errors.New("the branch has moved")

// Push moves Branch from the commit Old to New. Pack is called once a try, for a pack of all objects that New needs and Old has not.
type Push struct {
	Branch   string
	Old, New Hash
	Pack     func() (io.ReadCloser, error)
}

// Push moves a branch, never by force. A push that arrived although its answer was lost is a success. An error that is ErrMoved
// means that the branch is at another commit than Old.
func (r *Remote) Push(ctx context.Context, p Push) error {
	return r.do(ctx, "pushing to", func(ctx context.Context) error {
		s, err := connect(ctx, r.client.NewReceivePackSession, r)
		if err != nil {
			return err
		}
		defer s.Close()
		adv, err := s.AdvertisedReferencesContext(ctx)
		if err != nil {
			return err
		}
		name := plumbing.NewBranchReferenceName(p.Branch)
		switch head := adv.References[name.String()]; head {
		case p.New:
			return nil
		case p.Old:
		default:
			return moved(p.Branch, head.String())
		}
		return r.send(ctx, s, adv, p)
	})
}

func moved(branch, where string) error {
	return failure.New(failure.Conflict, "branch %q: %w, to %s", branch, ErrMoved, where)
}

func (r *Remote) send(ctx context.Context, s transport.ReceivePackSession, adv *packp.AdvRefs, p Push) error {
	req := packp.NewReferenceUpdateRequest()
	for _, c := range []capability.Capability{capability.ReportStatus, capability.Sideband64k, capability.Quiet} {
		if !adv.Capabilities.Supports(c) {
			continue
		}
		if err := req.Capabilities.Set(c); err != nil {
			return fmt.Errorf("capability %s: %w", c, err)
		}
	}
	pack, err := p.Pack()
	if err != nil {
		return err
	}
	defer pack.Close()
	said := &boundedText{}
	req.Packfile, req.Progress = pack, said
	req.Commands = []*packp.Command{{Name: plumbing.NewBranchReferenceName(p.Branch), Old: p.Old, New: p.New}}
	report, err := s.ReceivePack(ctx, req)
	if report == nil || err == nil {
		return err
	}
	return refused(p, report, said.String())
}

// refused explains a report that is not ok.
func refused(p Push, report *packp.ReportStatus, said string) error {
	text := "unpack " + report.UnpackStatus
	for _, c := range report.CommandStatuses {
		text = c.Status
	}
	for _, sign := range []string{"non-fast-forward", "fetch first", "failed to update ref", "cannot lock ref", "stale info", "reference already exists", "incorrect old value"} {
		if strings.Contains(text, sign) {
			return moved(p.Branch, "another commit at the same moment")
		}
	}
	if said != "" {
		text += ": " + said
	}
	return failure.WithHint(failure.New(failure.Unauthorized, "branch %q: the server refused the push: %s", p.Branch, text),
		"the owner of the git secret needs the right to push to this branch, also where it is protected")
}

// boundedText keeps the first part of what a server says, in one line.
type boundedText struct{ b strings.Builder }

func (t *boundedText) Write(p []byte) (int, error) {
	const limit = 1000
	if room := limit - t.b.Len(); room > 0 {
		t.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *boundedText) String() string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(t.b.String(), "?")), " ")
}
