package forecast

import (
	"fmt"

	"github.com/osbs-tekton/osbs/pkg/diagram"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// legend says what the looks of a diagram mean.
const legend = "What an arrow leads to is built on what it comes from. Thick lines: is rebuilt. Dashed lines: is held back. Round: built elsewhere. Thin lines: up to date."

// Diagram draws the plan, from what moves to what follows last.
func (p *Plan) Diagram() *diagram.Diagram {
	d := &diagram.Diagram{Title: "What is stale, and what is rebuilt", Description: legend}
	if p.Base != nil {
		d.Title = "What is rebuilt if " + p.Base.ImageStreamTag + " moves"
	}
	of := map[string][]int{} // the nodes of an ImageStreamTag
	for i, r := range p.Rebuilds {
		n := diagram.Node{Name: Label(r.BuildConfig, r.ImageStreamTags), State: string(r.Verdict), Style: diagram.Due}
		if r.Held() {
			n.Style = diagram.Held
		}
		if r.LastTookSeconds > 0 {
			n.State += fmt.Sprintf(", took %.0fs", r.LastTookSeconds)
		}
		d.Nodes = append(d.Nodes, n)
		for _, tag := range r.ImageStreamTags {
			of[tag] = append(of[tag], i)
		}
	}
	for i, r := range p.Rebuilds {
		seen := map[int]bool{}
		for _, reason := range r.Reasons {
			if reason.Kind == rebuild.Requested { // by a person, not by a base
				continue
			}
			if len(of[reason.Base]) == 0 {
				of[reason.Base] = []int{len(d.Nodes)}
				d.Nodes = append(d.Nodes, diagram.Node{Name: reason.Base, State: "moved", Style: diagram.Outside})
			}
			for _, from := range of[reason.Base] {
				if !seen[from] {
					seen[from] = true
					d.Edges = append(d.Edges, diagram.Edge{From: from, To: i})
				}
			}
		}
	}
	return d
}

// Diagram draws the graph, from bases that nobody builds to what nothing is built on.
func (g *Graph) Diagram() *diagram.Diagram {
	d := &diagram.Diagram{Title: "Images and their bases", Description: legend + " A change comes through dashed arrows.", Nodes: make([]diagram.Node, 0, len(g.Images))}
	if g.Image != "" {
		d.Title += ": " + g.Image
	}
	index := make(map[string]int, len(g.Images))
	for i, image := range g.Images {
		index[image.Name] = i
		n := diagram.Node{Name: image.Label(), State: image.State()}
		switch {
		case image.BuildConfig == "":
			n.Style = diagram.Outside
		case image.Verdict == "":
		case (Rebuild{Verdict: image.Verdict}).Held():
			n.Style = diagram.Held
		default:
			n.Style = diagram.Due
		}
		d.Nodes = append(d.Nodes, n)
	}
	for i, image := range g.Images {
		at := map[int]int{} // the edge from each node
		for _, base := range image.Bases {
			for _, name := range base.Images {
				from, ok := index[name]
				if !ok {
					continue
				}
				if _, ok := at[from]; !ok {
					at[from] = len(d.Edges)
					d.Edges = append(d.Edges, diagram.Edge{From: from, To: i})
				}
				e := &d.Edges[at[from]]
				e.Dashed = e.Dashed || base.Stale
			}
		}
	}
	return d
}
