//! ESC1xx: what the annotations or the `config` say.

super::codes! {
    UNKNOWN_ANNOTATION = "ESC101" {
        title: "Unknown annotation",
        cause: "A key under esc.pulumi.com/ is not one that this release knows. Unknown keys are refused, because a misspelt one would otherwise be ignored in silence.",
        fix: "Correct the key; the message names the nearest known one. `docs/annotations.md` lists them all.",
        example: "esc.pulumi.com/environment: acme/shop/prod",
    }
    VARIABLE_NAME = "ESC102" {
        title: "Illegal variable name",
        cause: "The name after `env.` is not a variable name that every shell and kubelet accepts.",
        fix: "Use letters, digits and underscores, and begin with a letter or underscore. A name that ends in an underscore, or is longer than 59 characters, goes into esc.pulumi.com/config.",
        example: "esc.pulumi.com/env.DATABASE_URL: db.url",
    }
    FILE_NAME = "ESC103" {
        title: "Illegal file name",
        cause: "The name after `file.` would lead out of the mount path, or collides with the links that make updates atomic.",
        fix: "Use a relative name without empty, `.` or `..` parts. Names with a slash go into esc.pulumi.com/config.",
        example: "esc.pulumi.com/config: |\n  files:\n    tls/ca.crt: tls.ca",
    }
    REFERENCE = "ESC104" {
        title: "Not an environment reference",
        cause: "An environment is named by organization, project and environment, with an optional version.",
        fix: "Write organization/project/environment, optionally followed by @revision or @tag.",
        example: "esc.pulumi.com/environment: acme/shop/prod@stable",
    }
    PATH = "ESC105" {
        title: "Not a property path",
        cause: "The value does not follow the grammar of ESC's property paths.",
        fix: "Write names joined by dots, [0] for an element and [\"a.b\"] for a key with special characters; `.` alone is the whole environment.",
        example: "esc.pulumi.com/env.FIRST_HOST: hosts[0].name",
    }
    VALUE = "ESC106" {
        title: "Value not understood",
        cause: "The annotation's value is not of the form that its key takes, or a template has a mistake.",
        fix: "The message says what is expected. In a template, text outside `{{ … }}` and `{% … %}` stands as it is, and a property is `{{ values.PATH }}`. Kubernetes annotations are strings: quote true, false and numbers.",
        example: "esc.pulumi.com/timeout: 90s",
    }
    SAID_TWICE = "ESC107" {
        title: "Said twice",
        cause: "One layer (the pod's annotations, or its namespace's) names the same variable, file or setting in two places.",
        fix: "Keep one of the two.",
        example: "esc.pulumi.com/config: |\n  env:\n    DATABASE_URL: database.url",
    }
    NO_ENVIRONMENT = "ESC108" {
        title: "No environment named",
        cause: "The pod asks for injection, and neither it nor its namespace says which environment to open.",
        fix: "Add the annotation esc.pulumi.com/environment to the pod, or to its namespace as a default.",
        example: "esc.pulumi.com/environment: acme/shop/prod",
    }
    ORPHAN = "ESC109" {
        title: "Modifier without a file",
        cause: "A `format.`, `decode.` or `mode.` annotation names a file that no `file.` or `template.` annotation asks for.",
        fix: "Add the file, or correct the name so that both agree.",
        example: "esc.pulumi.com/file.keystore.p12: tls.p12\nesc.pulumi.com/decode.keystore.p12: base64",
    }
    CONFIG = "ESC110" {
        title: "Malformed config",
        cause: "The YAML of esc.pulumi.com/config can't be read, or has a key that is not in its schema.",
        fix: "Correct the line that the message names.",
        example: "esc.pulumi.com/config: |\n  env:\n    DATABASE_URL: db.url\n  files:\n    keystore.p12: {path: tls.p12, decode: base64}",
    }
    API_URL = "ESC112" {
        title: "ESC address not allowed",
        cause: "The address receives the pod's token, so an annotation may only choose one that the operator has listed.",
        fix: "Remove esc.pulumi.com/api-url, or ask the operator to add the address with --allow-api-url.",
        example: "esc-injector webhook --allow-api-url https://esc.example.com",
    }
    AUDIENCE = "ESC113" {
        title: "Audience not allowed",
        cause: "A token with that audience could be used elsewhere, so an annotation may only choose one that the operator has listed.",
        fix: "Remove esc.pulumi.com/service-account-audience, or ask the operator to add it with --allow-audience.",
        example: "esc-injector webhook --allow-audience vault",
    }
    ENVIRONMENT_NOT_ALLOWED = "ESC114" {
        title: "Environment not allowed in this namespace",
        cause: "The namespace's annotation esc.pulumi.com/allowed-environments does not list the environment.",
        fix: "Name one that is listed, or ask the namespace's owner to extend the list.",
        example: "esc.pulumi.com/allowed-environments: acme/shop/*, acme/shared/prod",
    }
    TOKEN_SECRET = "ESC115" {
        title: "Access token Secret needed",
        cause: "The operator chose static tokens (--auth token), and the pod names no Secret that holds one.",
        fix: "Add esc.pulumi.com/access-token-secret to the pod, or to its namespace as a default.",
        example: "esc.pulumi.com/access-token-secret: esc-token/accessToken",
    }
    PLAN_SIZE = "ESC116" {
        title: "Too much asked for",
        cause: "What a pod asks for travels in its spec, and may have 64 KiB there; the variables and files of this pod need more.",
        fix: "Deliver the whole environment as one file, use ESC's own projections, or split the pod's needs over several environments.",
        example: "esc.pulumi.com/file.settings.json: .",
    }
    NOTHING = "ESC117" {
        title: "Nothing to deliver",
        cause: "`projections` is `none`, and no variable or file is named.",
        fix: "Name what to deliver, or remove esc.pulumi.com/projections.",
        example: "esc.pulumi.com/env.DATABASE_URL: db.url\nesc.pulumi.com/projections: none",
    }
    NO_MEANING = "ESC118" {
        title: "No meaning on a namespace",
        cause: "A warning: `inject` and `status` speak of one pod, so as a default they are ignored.",
        fix: "Remove the annotation from the namespace; to inject every pod of it, set its label esc.pulumi.com/injection to `all`.",
        example: "kubectl label namespace shop esc.pulumi.com/injection=all --overwrite",
    }
    CONTRADICTION = "ESC119" {
        title: "Settings that contradict each other",
        cause: "Two settings can't hold together, or one means nothing without another: a template with a format, an entry that is optional and has a default, `on-change` without `refresh`.",
        fix: "Drop one of the two, or add what the message names.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/on-change: http://127.0.0.1:8080/reload",
    }
    REFRESH_TOO_SHORT = "ESC120" {
        title: "Refreshed too often",
        cause: "The operator's minimum (--min-refresh) keeps pods from asking ESC all the time.",
        fix: "Lengthen esc.pulumi.com/refresh, or ask the operator to lower the minimum.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m",
    }
    ON_CHANGE_URL = "ESC121" {
        title: "URL not allowed",
        cause: "After a change the agent calls the pod itself, or a URL that the operator has listed: anything else would let a pod's author send requests from where the author can't.",
        fix: "Use a URL on 127.0.0.1, or ask the operator to add the URL with --allow-on-change-url.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca\nesc.pulumi.com/refresh: 5m\nesc.pulumi.com/on-change: http://127.0.0.1:8080/reload",
    }
    RESTART_UNSUPPORTED = "ESC122" {
        title: "The API server can't restart all containers",
        cause: "`on-change: restart` uses a rule of Kubernetes 1.36 (RestartAllContainers). Older API servers refuse it, or drop it without a word; and this one is not known to be newer.",
        fix: "Use another `on-change`, or let the operator state the oldest kubelet (--min-kubelet 1.36), if all are so new.",
        example: "esc-injector webhook --min-kubelet 1.36",
    }
}
