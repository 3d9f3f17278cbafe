package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// identify lets the build's identity make its unique tag, in the place of chance and the clock: a build whose pod was lost, and with it a
// workspace that lives in the pod, begins anew, and finds by that tag in the registry what it has pushed in its earlier life. It says
// whether there is an identity: the lock stage has recorded it.
func (o *Options) identify() (bool, error) {
	if o.Rand != nil || o.Now != nil {
		return false, nil
	}
	lock, err := workspace.Read[workspace.Lock](o.Workspace)
	if failure.KindOf(err) == failure.NotFound {
		return false, nil // an image that was built outside the pipeline
	}
	if err != nil || lock.HolderUID == "" || lock.Created.IsZero() {
		return false, err
	}
	sum := sha256.Sum256([]byte(lock.HolderUID))
	o.Rand, o.Now = bytes.NewReader(sum[:]), func() time.Time { return lock.Created }
	return true, nil
}

// recognise looks for what an earlier life of this build has pushed. Where its unique tag is, the primary tag was free before. If an earlier
// life has built something else, its unique tag stays what it is, and this life has another one.
func (p *pusher) recognise(ctx context.Context, dests []*destination) error {
	for _, d := range dests {
		digest, found, err := d.repo.Resolve(ctx, p.attempt.Tags.Unique)
		switch {
		case err != nil:
			return err
		case !found:
			continue
		case digest.String() == p.built.digest:
			p.Log.Info("this build was here before, and has lost its pod since", "image", d.repo.Name().String()+":"+p.attempt.Tags.Unique)
			p.attempt.PrimaryFree[d.repo.Name().String()] = true
			continue
		}
		o := p.Options
		o.Rand, o.Now = rand.Reader, time.Now
		set, err := o.tags(p.built.labels)
		if err != nil {
			return err
		}
		p.attempt.Tags.Unique = set.Unique
		return nil
	}
	return nil
}
