// Package push is the push stage: it sends the built image into the registries under its unique and its primary tag, and reads the
// digest back. Floating tags are moved later, by the import stage, when everything else has succeeded.
//
// A push that failed is tried again by running it again: what arrived is found and skipped, and the tags are the same.
package push

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/tags"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Options of the push stage.
type Options struct {
	step.Env
	Workspace workspace.Dir
	// Registry reaches the registries and knows their credentials.
	Registry *registry.Client
	// Registries of registry_uri; the image is pushed into each, under the name that its name label says.
	Registries []registry.URI
	// Target is the build target, a part of the unique tag.
	Target string
	// Scratch and Isolated decide which tags there are, see package tags.
	Scratch, Isolated bool
	// Autorebuild says that an ImageStream change started the build, not a user.
	Autorebuild bool
	// EarlyCutoff lets an autorebuild whose image has the content of the one before it end there: nothing is pushed, and no tag moved.
	EarlyCutoff bool
	// Publish, if not nil, is called when it is certain that the image is to be pushed, before anything is: it brings the bump of the
	// release onto the branch.
	Publish func(context.Context) error
	// Jobs is how many blobs are sent at once; 0 means transfer.DefaultJobs.
	Jobs int
	// Now and Rand make the unique tag. By default the build that the lock stage has recorded does, or else time.Now and crypto/rand.Reader.
	Now  func() time.Time
	Rand io.Reader
}

// Run pushes the image that the build stage has left, or another engine in its place, and writes the push record. The images of several
// platforms are pushed with the index that joins them, which is what the tags then mean. Nothing is tagged before all blobs are in all registries; no
// primary tag is set before the unique tags are. If the prepare stage skipped the build, it does nothing. If an autorebuild has changed
// nothing (see Options.EarlyCutoff), the record says so, and has the digest of the image that stays.
//
// A primary tag that exists already is failure.Conflict, unless it is this build's own, set by an earlier attempt. What a registry
// has under a tag other than what was pushed is failure.Untrusted.
func Run(ctx context.Context, o Options) (workspace.Push, error) {
	o.Env = o.WithDefaults()
	if skipped, err := isSkipped(o.Workspace); err != nil || skipped {
		return workspace.Push{}, err
	}
	if len(o.Registries) == 0 {
		return workspace.Push{}, failure.New(failure.Usage, "no registry to push into: registry-uri is empty")
	}
	built, err := o.built(ctx)
	if err != nil {
		return workspace.Push{}, err
	}
	identified, err := o.identify()
	if err != nil {
		return workspace.Push{}, err
	}
	set, err := o.tags(built.labels)
	if err != nil {
		return workspace.Push{}, err
	}
	try, err := begin(o.Workspace, built.digest, set)
	if err != nil {
		return workspace.Push{}, err
	}
	p := &pusher{Options: o, built: built, attempt: try, identified: identified}
	record, err := p.run(ctx)
	if err != nil {
		return workspace.Push{}, err
	}
	return record, workspace.Write(o.Workspace, record)
}

// isSkipped says whether the prepare stage ended the build.
func isSkipped(d workspace.Dir) (bool, error) {
	prepared, err := workspace.Read[workspace.Prepare](d)
	if failure.KindOf(err) == failure.NotFound {
		return false, nil // an image that was built outside the pipeline
	}
	return prepared.State == workspace.StateSkipped, err
}

// tags computes the image's tags from its labels and the additional-tags file.
func (o Options) tags(labels map[string]string) (tags.Set, error) {
	additional, err := o.additional()
	if err != nil {
		return tags.Set{}, err
	}
	return Tags(o, labels, additional)
}

func (o Options) additional() ([]string, error) {
	if o.Scratch || o.Isolated {
		return nil, nil
	}
	found, warnings, err := tags.ReadAdditional(o.Workspace.Source())
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return found, err
}

// Tags computes the tags that an image with these labels would be pushed under, without pushing: for a dry run. Of o it uses Target,
// Scratch, Isolated, Now and Rand; additional are those of the additional-tags file.
func Tags(o Options, labels map[string]string, additional []string) (tags.Set, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	random, err := tags.Random(o.Rand)
	if err != nil {
		return tags.Set{}, err
	}
	return tags.Compute(tags.Options{Labels: labels, Target: o.Target, Scratch: o.Scratch, Isolated: o.Isolated, Additional: additional,
		Time: o.Now(), Random: random})
}

// pusher is one run.
type pusher struct {
	Options
	built   built
	attempt *attempt
	// identified says that the unique tag tells which build has set it.
	identified bool
}

// destination is the image's repository in one registry.
type destination struct {
	repo     *transfer.Repository
	manifest transfer.Manifest
	stats    transfer.Stats
}

func (p *pusher) run(ctx context.Context) (workspace.Push, error) {
	dests, err := p.open(ctx)
	if err != nil {
		return workspace.Push{}, err
	}
	if same, err := p.unchanged(ctx, dests); err != nil || same != nil {
		return p.keep(same, err)
	}
	if p.Publish != nil {
		if err := p.Publish(ctx); err != nil {
			return workspace.Push{}, err
		}
	}
	if p.identified {
		if err := p.recognise(ctx, dests); err != nil {
			return workspace.Push{}, err
		}
	}
	if err := p.checkPrimary(ctx, dests); err != nil {
		return workspace.Push{}, err
	}
	for _, d := range dests {
		if err := p.sendBlobs(ctx, d); err != nil {
			return workspace.Push{}, fmt.Errorf("pushing to %s: %w", d.repo.Name(), err)
		}
	}
	for _, tag := range p.attempt.Tags.setByPush() {
		if tag == p.attempt.Tags.Primary { // sending took its time: somebody else may have set it meanwhile
			if err := p.checkPrimary(ctx, dests); err != nil {
				return workspace.Push{}, err
			}
		}
		for _, d := range dests {
			if err := p.tag(ctx, d, tag); err != nil {
				return workspace.Push{}, err
			}
		}
	}
	return p.record(dests), nil
}

// keep leaves the image before this one as it is.
func (p *pusher) keep(same *workspace.Push, err error) (workspace.Push, error) {
	if err != nil {
		return workspace.Push{}, fmt.Errorf("comparing the image with the one before it: %w", err)
	}
	p.Log.Info("unchanged: the image has the content of the one before it, which stays; nothing is pushed", "image", same.Images[0].Repository, "digest", same.Digest)
	return *same, nil
}

// open authenticates at every registry, so that a wrong password is known before anything is sent.
func (p *pusher) open(ctx context.Context) ([]*destination, error) {
	dests := make([]*destination, 0, len(p.Registries))
	for _, uri := range p.Registries {
		repo, err := p.Registry.ParseRepository(uri.Host + "/" + p.attempt.Tags.Name)
		if err != nil {
			return nil, err
		}
		opened, err := transfer.Open(ctx, p.Registry, p.Env, repo, transfer.Push, p.built.bases...)
		if err != nil {
			return nil, err
		}
		dests = append(dests, &destination{repo: opened})
	}
	return dests, nil
}

// ErrPrimaryExists is why a push is refused whose primary tag another build has set; the text is the original's.
var ErrPrimaryExists = errors.New("Primary tag already exists in registry") //nolint:staticcheck // OSBS's text, people search for it

// checkPrimary refuses a primary tag that is taken, and notes in the attempt where it is free: a later attempt that finds it set to this
// build's digest there knows that it did so itself. It is called before anything is sent, and again when the tag is about to be set.
func (p *pusher) checkPrimary(ctx context.Context, dests []*destination) error {
	primary := p.attempt.Tags.Primary
	if primary == "" {
		return p.attempt.save(p.Workspace)
	}
	for _, d := range dests {
		digest, found, err := d.repo.Resolve(ctx, primary)
		if err != nil {
			return err
		}
		repo := d.repo.Name().String()
		switch {
		case !found:
			p.attempt.PrimaryFree[repo] = true
		case p.attempt.PrimaryFree[repo] && digest.String() == p.built.digest:
			p.Log.Info("an earlier attempt of this build has set the primary tag", "image", repo+":"+primary)
		default:
			return failure.WithHint(failure.New(failure.Conflict, "%w: %s:%s has digest %s", ErrPrimaryExists, repo, primary, digest),
				"a version and release are built once: raise the release label")
		}
	}
	return p.attempt.save(p.Workspace)
}

// sendBlobs brings everything but the tagged manifest into a registry.
func (p *pusher) sendBlobs(ctx context.Context, d *destination) error {
	began := time.Now()
	var err error
	d.manifest, d.stats, err = d.repo.Blobs(ctx, p.built.source, p.built.digest, p.Jobs)
	if err != nil {
		return err
	}
	p.Log.Info("sent the image's blobs", "repository", d.repo.Name().String(), "uploaded", progress.Size(d.stats.Uploaded), "copied", progress.Size(d.stats.Copied),
		"mounted", progress.Size(d.stats.Mounted), "existed", progress.Size(d.stats.Existed), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// tag sets one tag and reads it back.
func (p *pusher) tag(ctx context.Context, d *destination, tag string) error {
	if err := d.repo.PutManifest(ctx, tag, d.manifest); err != nil {
		return fmt.Errorf("tagging %s:%s: %w", d.repo.Name(), tag, err)
	}
	p.Log.Info("pushed", "image", d.repo.Name().String()+":"+tag, "digest", d.manifest.Digest.String())
	return nil
}

func (p *pusher) record(dests []*destination) workspace.Push {
	set := p.attempt.Tags
	record := workspace.Push{Digest: p.built.digest, Images: make([]workspace.PushedImage, 0, len(dests))}
	for _, d := range dests {
		record.Images = append(record.Images, workspace.PushedImage{
			Repository: d.repo.Name().String(), Unique: set.Unique, Primary: set.Primary, Floating: set.Floating,
			Uploaded: d.stats.Uploaded, Mounted: d.stats.Mounted, Existed: d.stats.Existed, Copied: d.stats.Copied,
		})
	}
	return record
}
