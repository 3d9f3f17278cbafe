package configmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// trigger is one entry of OpenShift's annotation. lastTriggeredImage and lastTriggerTime are the words of its build and deployment
// triggers; lastBuiltImage and lastTriggeredManifest are ours.
type trigger struct {
	From                  json.RawMessage `json:"from"`
	Paused                bool            `json:"paused,omitempty"`
	LastTriggeredImage    string          `json:"lastTriggeredImage,omitempty"`
	LastTriggerTime       string          `json:"lastTriggerTime,omitempty"`
	LastTriggeredManifest string          `json:"lastTriggeredManifest,omitempty"`
	LastBuiltImage        string          `json:"lastBuiltImage,omitempty"`
}

type from struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

const kindImageStreamTag = "ImageStreamTag"

func decodeTriggers(text string) ([]buildconfig.Trigger, error) {
	if text == "" {
		return nil, nil
	}
	var stored []trigger
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}
	var out []buildconfig.Trigger
	for i, t := range stored {
		f := parseFrom(t.From)
		if f.Kind != kindImageStreamTag {
			continue // somebody else's; encodeTriggers keeps it
		}
		if f.Name == "" {
			return nil, fmt.Errorf("trigger %d: %w", i, errors.New("from has no name"))
		}
		var at time.Time
		if t.LastTriggerTime != "" {
			var err error
			if at, err = time.Parse(time.RFC3339, t.LastTriggerTime); err != nil {
				return nil, fmt.Errorf("trigger %d: %w", i, err)
			}
		}
		out = append(out, buildconfig.Trigger{
			ImageStreamTag: f.Name, Namespace: f.Namespace, Paused: t.Paused, LastTriggeredImage: t.LastTriggeredImage,
			LastTriggerTime: at, LastTriggeredManifest: t.LastTriggeredManifest, LastBuiltImage: t.LastBuiltImage,
		})
	}
	return out, nil
}

// encodeTriggers writes the triggers, each with the keys that others gave it (fieldPath for one), and after them the stored ones
// that are not on ImageStreamTags. The result is empty when there are none.
func encodeTriggers(triggers []buildconfig.Trigger, storedText string) (string, error) {
	var stored []map[string]json.RawMessage
	if decode(storedText, &stored) != nil {
		stored = nil // what is malformed is replaced
	}
	out := make([]json.RawMessage, 0, len(triggers))
	for _, t := range triggers {
		text, err := encodeTrigger(t, stored)
		if err != nil {
			return "", fmt.Errorf("encoding trigger on %s: %w", t.ImageStreamTag, err)
		}
		out = append(out, text)
	}
	for _, entry := range stored {
		if f := parseFrom(entry["from"]); f.Kind != kindImageStreamTag {
			text, err := json.Marshal(entry)
			if err != nil {
				return "", fmt.Errorf("encoding a trigger on %s: %w", f.Kind, err)
			}
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "", nil
	}
	text, err := json.Marshal(out)
	return string(text), err
}

func encodeTrigger(t buildconfig.Trigger, stored []map[string]json.RawMessage) (json.RawMessage, error) {
	f := from{Kind: kindImageStreamTag, Name: t.ImageStreamTag, Namespace: t.Namespace}
	before := find(stored, f)
	entry := trigger{
		From: before["from"], Paused: t.Paused, LastTriggeredImage: t.LastTriggeredImage,
		LastTriggeredManifest: t.LastTriggeredManifest, LastBuiltImage: t.LastBuiltImage,
	}
	if !t.LastTriggerTime.IsZero() {
		entry.LastTriggerTime = t.LastTriggerTime.UTC().Format(time.RFC3339)
	}
	var err error
	if entry.From == nil {
		if entry.From, err = json.Marshal(f); err != nil {
			return nil, err
		}
	}
	others, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	text, err := merge(entry, string(others))
	return json.RawMessage(text), err
}

func find(stored []map[string]json.RawMessage, want from) map[string]json.RawMessage {
	for _, entry := range stored {
		if parseFrom(entry["from"]) == want {
			return entry
		}
	}
	return nil
}

func parseFrom(raw json.RawMessage) from {
	var f from
	if json.Unmarshal(raw, &f) != nil {
		return from{}
	}
	return f
}

// knownKeys are the JSON keys of the struct v, or of what v points to.
func knownKeys(v any) []string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}
