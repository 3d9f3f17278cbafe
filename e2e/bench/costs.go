package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/crane"
)

// resources is what a stage says at its end, at the log level debug.
var resources = regexp.MustCompile(`resources used.*cpu=(\S+).*peak-memory=(\S+)`)

// memory builds each case once more in chained pods, and says what each stage has cost.
func (s *site) memory(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, c := range s.cases {
		name, err := s.kubectl(ctx, s.osbsRun("chained", c, 90), "create", "-f", "-", "-o", "name")
		if err != nil {
			return "", err
		}
		name = strings.TrimSpace(name)
		if _, err := s.kubectl(ctx, "", "wait", "--for=jsonpath={.status.completionTime}", "--timeout=15m", name); err != nil {
			return "", err
		}
		out, err := s.kubectl(ctx, "", "get", "pods", "-o", "json", "-l", "tekton.dev/pipelineRun="+name[strings.Index(name, "/")+1:])
		if err != nil {
			return "", err
		}
		var pods struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ Containers []struct{ Name string } }
			}
		}
		if err := json.Unmarshal([]byte(out), &pods); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n%s: cost of each step\n", c.name)
		for _, pod := range pods.Items {
			for _, container := range pod.Spec.Containers {
				log, err := s.kubectl(ctx, "", "logs", pod.Metadata.Name, "-c", container.Name)
				if err != nil {
					return "", err
				}
				if cost := resources.FindStringSubmatch(log); cost != nil {
					fmt.Fprintf(&b, "  %-28s peak memory %8s, CPU %s\n", strings.TrimPrefix(container.Name, "step-"), cost[2], cost[1])
				}
			}
		}
	}
	return b.String(), nil
}

// sizes is how much a node downloads for the steps of osbs, each layer once, and for those of the others.
func (s *site) sizes(ctx context.Context) (string, error) {
	text, err := os.ReadFile(variable("STEP_IMAGES"))
	if err != nil {
		return "", err
	}
	layers := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		_, image, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found {
			continue
		}
		if err := add(ctx, layers, image); err != nil {
			return "", err
		}
	}
	other := map[string]int64{}
	image, err := os.ReadFile(s.peers + "/image")
	if err != nil {
		return "", err
	}
	if err := add(ctx, other, strings.TrimSpace(string(image))); err != nil {
		return "", err
	}
	return fmt.Sprintf("\ncompressed size, layers once: all images of osbs %.1f MB; an image with Debian's git and buildah %.1f MB\n", megabytes(layers), megabytes(other)), nil
}

// add adds the blobs of an image.
func add(ctx context.Context, blobs map[string]int64, image string) error {
	text, err := crane.Manifest(image, crane.WithContext(ctx))
	if err != nil {
		return err
	}
	var manifest struct {
		Config struct {
			Digest string
			Size   int64
		}
		Layers []struct {
			Digest string
			Size   int64
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	blobs[manifest.Config.Digest] = manifest.Config.Size
	for _, l := range manifest.Layers {
		blobs[l.Digest] = l.Size
	}
	return nil
}

func megabytes(blobs map[string]int64) float64 {
	var sum int64
	for _, size := range blobs {
		sum += size
	}
	return float64(sum) / 1e6
}
