//! `ESC7xx`: what `check` finds in manifests, before there is a pod.

super::codes! {
    MISPLACED = "ESC701" {
        title: "An annotation where nobody reads it",
        cause: "The key stands on an object that is no pod (on a Deployment instead of its pod template, on a Service, on a ServiceAccount), or among labels, or its prefix is misspelt. Kubernetes takes it, the webhook never sees it, and nothing is injected.",
        fix: "Put it among the annotations of the pod: for a workload, under spec.template.metadata.annotations.",
        example: "kind: Deployment\nspec:\n  template:\n    metadata:\n      annotations:\n        esc.pulumi.com/environment: acme/shop/prod\n    spec:\n      containers:\n        - {name: app, image: shop, command: [/app]}",
    }
    KEY = "ESC702" {
        title: "A key that Kubernetes does not take",
        cause: "The part of an annotation's key after the slash may have 63 characters: letters, digits, `-`, `_` and `.`, the first and the last a letter or digit. The API server refuses the object before the webhook sees it.",
        fix: "Say it in esc.pulumi.com/config, where names are free.",
        example: "esc.pulumi.com/config: |\n  files:\n    tls/ca.crt: tls.ca",
    }
    NOT_TEXT = "ESC703" {
        title: "An annotation that is no text",
        cause: "Annotations are texts, and YAML reads true, false, numbers and lists without quotes as something else. The API server refuses the object before the webhook sees it.",
        fix: "Put the value in quotes.",
        example: "esc.pulumi.com/init-first: \"true\"",
    }
    UNREADABLE = "ESC704" {
        title: "The manifest can't be read",
        cause: "The file can't be read, or its text is neither YAML nor JSON as Kubernetes' tools read them.",
        fix: "Correct the path, or the place that the message names. Templates have to be rendered first: pipe `helm template` or `kubectl kustomize` in.",
        example: "helm template charts/shop | esc-injector check",
    }
    NOT_RESOLVED = "ESC705" {
        title: "Not looked up",
        cause: "`check --resolve` did not look up what the pod asks for. An error: the pod would be refused as it stands, so what it would open is not known. A warning: the pod opens its environments at another ESC than the one that was asked, and your token is not sent to an address that a manifest names.",
        fix: "Mend what else is said of the pod; if its namespace supplies what is missing, check the namespace with it. For another ESC, run `check --resolve` again with that address as --api-url.",
        example: "",
    }
    EMPTY = "ESC706" {
        title: "Nothing to check",
        cause: "There is no manifest in what was named or piped in: it is empty, has comments only, or is no object and no list of objects. Of a directory, only its own files that end in .yaml, .yml or .json are read, and none of those below it.",
        fix: "Check the path; name directories below one by one; in a pipe, look at what the command before it prints.",
        example: "esc-injector check -f manifests -f manifests/prod",
    }
    UNKNOWN_TEMPLATE = "ESC707" {
        title: "Annotations that were not checked",
        cause: "The object is of a kind that Kubernetes does not bring along, and has annotations of esc.pulumi.com in metadata with no pod's spec beside it. If its operator puts them on pods, the webhook decides on those pods all the same.",
        fix: "Where no pod gets them, take them out. Where pods do, give `check` a Pod with the metadata and spec that they will have, in place of the object.",
        example: "kind: Pod\nmetadata:\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\nspec:\n  containers:\n    - {name: app, image: shop, command: [/app]}",
    }
}
