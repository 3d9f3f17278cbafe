package layout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/tasks"
)

// The names of pods with several links in the layouts that have a name. Any other pod has the name of its link, or of its first and its
// last: clone-to-prepare.
const (
	beforeBuild = "before-build"
	build       = "build"
	afterBuild  = "after-build"
	buildImage  = "build-image"
)

// maxName is how long the name of a PipelineTask may be: it is a DNS label.
const maxName = 63

// pod is links that share a pod, in their order. room is what the layout calls the part of the chain that they are in.
type pod struct {
	name, room string
	links      []*chain.Link
}

// divider divides a chain into pods.
type divider struct {
	*chain.Chain
	// apart are links that must have a pod of their own.
	apart map[string]bool
}

// partition says which links share a pod.
func (c divider) partition(l config.Layout) ([]*pod, error) {
	rooms, err := c.rooms(l)
	if err != nil {
		return nil, err
	}
	var pods []*pod
	for i, link := range c.Links {
		if i == 0 || rooms[i] != rooms[i-1] || c.alone(i) || c.alone(i-1) {
			pods = append(pods, &pod{room: rooms[i]})
		}
		last := pods[len(pods)-1]
		last.links = append(last.links, link)
	}
	return pods, name(c.Chain, pods)
}

// alone reports whether link i can share no pod: it is not made of steps that are known here, or runs beside another link, such as the
// build for another platform.
func (c divider) alone(i int) bool {
	return c.Links[i].Custom() || !c.Links[i].TaskRef.IsNil() || !c.Alone(i) || c.apart[c.Links[i].Name]
}

// rooms are the parts of the chain that the layout makes, as a name for each link. A link that the layout does not name is in the room
// of the one before it, or, if that can share no pod, of the one after it.
func (c divider) rooms(l config.Layout) ([]string, error) {
	room, err := roomOf(c.Chain, l)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(c.Links))
	for i, link := range c.Links {
		if out[i] = room(link); out[i] == "" && link.Stage != "" {
			return nil, failure.New(failure.Usage, "layout: it does not say in which pod stage %s runs", link.Stage)
		}
	}
	for i, link := range c.Links {
		switch {
		case out[i] != "":
		case l.Name == config.Chained || c.alone(i):
			out[i] = "alone " + link.Name
		case i > 0 && !c.alone(i-1):
			out[i] = out[i-1]
		default:
			out[i] = c.next(out, i)
		}
	}
	return out, inOrder(c.Chain, out)
}

// next is the room of the next link after i that has one and can share it.
func (c divider) next(rooms []string, i int) string {
	for j := i + 1; j < len(rooms) && !c.alone(j); j++ {
		if rooms[j] != "" {
			return rooms[j]
		}
	}
	return "alone " + c.Links[i].Name
}

// roomOf says in which room the layout puts a link; empty for one that it does not name.
func roomOf(c *chain.Chain, l config.Layout) (func(*chain.Link) string, error) {
	if len(l.Pods) > 0 {
		return listed(c, l.Pods)
	}
	stages := tasks.Stages()
	at := slices.Index(stages, build)
	switch l.Name {
	case config.Chained, "":
		return func(link *chain.Link) string { return link.Name }, nil
	case config.Fused:
		return func(link *chain.Link) string {
			if link.Stage == "" {
				return ""
			}
			return buildImage
		}, nil
	case config.Balanced:
		return func(link *chain.Link) string {
			switch i := slices.Index(stages, link.Stage); {
			case i < 0:
				return ""
			case i < at:
				return beforeBuild
			case i > at:
				return afterBuild
			}
			return build
		}, nil
	}
	return nil, failure.New(failure.Usage, "layout %q: accepted are %s, %s, %s, or lists of stages", l.Name, config.Chained, config.Balanced, config.Fused)
}

// listed is the partition that a site has written down. Stages that it has not configured may be in it.
func listed(c *chain.Chain, lists [][]string) (func(*chain.Link) string, error) {
	room := map[string]string{}
	for i, list := range lists {
		for _, name := range list {
			if _, twice := room[name]; twice {
				return nil, failure.New(failure.Usage, "layout: %s is in two pods", name)
			}
			known := slices.Contains(tasks.Stages(), name) || slices.ContainsFunc(c.Links, func(l *chain.Link) bool { return l.Name == name || l.Stage == name })
			if !known {
				return nil, failure.New(failure.Usage, "layout: there is no stage and no task %q", name)
			}
			room[name] = fmt.Sprintf("pod %d", i+1)
		}
	}
	return func(link *chain.Link) string {
		if r := room[link.Name]; r != "" {
			return r
		}
		return room[link.Stage]
	}, nil
}

// inOrder refuses a pod whose links do not follow one another.
func inOrder(c *chain.Chain, rooms []string) error {
	left := map[string]int{}
	for i, room := range rooms {
		if i == 0 || room == rooms[i-1] {
			continue
		}
		left[rooms[i-1]] = i
		if since, seen := left[room]; seen && !separated(rooms[since:i]) {
			return failure.New(failure.Usage, "layout: the pod of %s cannot have %s too, because %s runs between them",
				c.Links[since-1].Name, c.Links[i].Name, c.Links[since].Name)
		}
	}
	return nil
}

// separated reports whether what lies between two parts of a room is only what can share no pod.
func separated(rooms []string) bool {
	return !slices.ContainsFunc(rooms, func(r string) bool { return !strings.HasPrefix(r, "alone ") })
}

// name names the pods.
func name(c *chain.Chain, pods []*pod) error {
	parts, taken := map[string]int{}, map[string]bool{}
	for _, p := range pods {
		parts[p.room]++
	}
	for _, l := range slices.Concat(c.Links, c.Finally) {
		taken[l.Name] = true
	}
	for _, p := range pods {
		p.name = p.links[0].Name
		if len(p.links) == 1 {
			continue
		}
		for _, l := range p.links {
			delete(taken, l.Name)
		}
		first, last := p.links[0].Name, p.links[len(p.links)-1].Name
		p.name = first + "-to-" + last
		if named := []string{beforeBuild, build, afterBuild, buildImage}; parts[p.room] == 1 && slices.Contains(named, p.room) && !taken[p.room] {
			p.name = p.room
		}
		if taken[p.name] || len(p.name) > maxName {
			return failure.New(failure.Usage, "layout: the pod of %s to %s cannot be called %q: that is too long, or a task has this name", first, last, p.name)
		}
		taken[p.name] = true
	}
	return nil
}
