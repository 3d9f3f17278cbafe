package layout_test

import corev1 "k8s.io/api/core/v1"

type v1VolumeMount = corev1.VolumeMount

// inserted are tasks as overlays insert them: after is the link whose results they need.
var inserted = []struct {
	after      string
	skips      bool
	when       string
	params     map[string]string
	workspaces map[string]string
	task       string
}{
	{after: "push", skips: true, params: map[string]string{"image": "$(tasks.push.results.image-url)@$(tasks.push.results.image-digest)", "format": "sarif"}, task: `
metadata: {name: scan}
spec:
  params:
  - {name: image}
  - {name: format}
  - {name: severity, default: high}
  results:
  - {name: report}
  steps:
  - name: scan
    image: scan
    args: ["--format=$(params.format)", $(params.image), $(params.severity)]
    script: echo > $(results.report.path)
`},
	{after: "clone", workspaces: map[string]string{"source": "workspace"}, params: map[string]string{"what": "$(tasks.clone.results.url)"}, task: `
metadata: {name: lint}
spec:
  params:
  - {name: what}
  workspaces:
  - {name: source}
  stepTemplate:
    image: lint
    env:
    - {name: WHAT, value: $(params.what)}
    - {name: PLACE, value: template}
    securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false}
    volumeMounts:
    - {name: tmp, mountPath: /tmp}
  steps:
  - name: one
    args: [$(workspaces.source.path)/source]
    env:
    - {name: PLACE, value: own}
    securityContext: {runAsUser: 1000}
  - name: two
    args: [$(workspaces.source.path)/source]
  sidecars:
  - {name: cache, image: cache}
  volumes:
  - name: tmp
    emptyDir: {medium: Memory}
`},
	{after: "prepare", when: "{input: $(params.git-branch), operator: in, values: [main, release]}", params: map[string]string{
		"list": "[a, $(tasks.prepare.results.commit), $(params.git-url)]"}, task: `
metadata: {name: sign}
spec:
  params:
  - {name: list, type: array}
  - {name: target}
  workspaces:
  - {name: workspace, mountPath: /elsewhere}
  steps:
  - name: sign
    image: sign
    args: ["$(params.list[*])", "$(params.list[1])", $(workspaces.workspace.path), $(params.target)]
  sidecars:
  - {name: cache, image: cache}
`},
	{after: "clone", params: map[string]string{"commit": "$(tasks.clone.results.commit)"}},
	{after: "push", skips: true, task: `
metadata: {name: tell}
spec:
  results:
  - {name: said}
  - {name: all, value: $(steps.ask.results.answer)}
  steps:
  - name: ask
    image: ask
    results:
    - {name: answer}
    script: echo > $(step.results.answer.path)
  - name: tell
    image: tell
    args: [$(steps.ask.results.answer), $(tasks.push.results.tags)]
    env:
    - {name: TARGET, value: $(params.target)}
    script: echo > /tekton/results/said
`},
}
