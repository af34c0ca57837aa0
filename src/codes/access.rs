//! `ESC3xx`: the agent can't get to the environment.

super::codes! {
    UNREACHABLE = "ESC301" {
        title: "ESC can't be reached",
        cause: "No answer came from ESC within the pod's `timeout`: the name does not resolve, the connection is refused or cut, or nothing answers.",
        fix: "Check that pods of this namespace may connect to ESC's address (NetworkPolicy, egress gateway, proxy, DNS); raise `esc.pulumi.com/timeout`, or set `esc.pulumi.com/on-failure: start` if the application can start without.",
        example: "kubectl run probe --rm -it --image=busybox -- wget -qO- https://api.pulumi.com/api/capabilities",
    }
    THROTTLED = "ESC302" {
        title: "ESC limits the rate of requests",
        cause: "ESC answered 429 for the whole of the pod's `timeout`. Many pods behind one address share one limit.",
        fix: "Start fewer pods at once (`maxSurge`, `parallelism`), or raise `esc.pulumi.com/timeout`.",
        example: "esc.pulumi.com/timeout: 5m",
    }
    FAILING = "ESC303" {
        title: "ESC fails",
        cause: "ESC answered with a server error (5xx).",
        fix: "Look at ESC's status page. The pod tries again by itself; if that does not help, give ESC's support the request id of the message.",
        example: "",
    }
    UNTRUSTED = "ESC304" {
        title: "ESC's certificate is not trusted",
        cause: "The certificate that was presented is not signed by an authority that the agent knows, is for another name, or is not valid now. A proxy that inspects TLS looks like this too.",
        fix: "Give the authority's certificate to the webhook with `--ca-file`, create the pod anew, and check the clock of the node.",
        example: "esc-injector webhook --ca-file /etc/esc/ca.crt",
    }
    ADDRESS = "ESC305" {
        title: "The way to ESC is misconfigured",
        cause: "ESC's address, its proxy or its CA certificates are unusable. The address has to be https, or http on this machine (127.0.0.0/8, ::1, localhost), and has no user, query or fragment.",
        fix: "Correct `--api-url`, `--https-proxy` or `--ca-file` of the webhook, or `esc.pulumi.com/api-url` of the pod.",
        example: "esc-injector webhook --api-url https://api.pulumi.com",
    }
    TOKEN_FILE = "ESC306" {
        title: "The agent has no token",
        cause: "The file with the pod's token can't be read, is empty, or holds something that is no token.",
        fix: "For `access-token-secret`, check that the Secret has the key and that its value is the token alone; otherwise check that the volume `esc-token` of the pod was not changed.",
        example: "kubectl create secret generic esc-token --from-file=accessToken=FILE",
    }
    EXCHANGE_REFUSED = "ESC307" {
        title: "ESC does not accept the pod's identity",
        cause: "ESC refused to exchange the pod's ServiceAccount token: the cluster's issuer is not registered with the organization, no policy allows this ServiceAccount the token type that was asked for, or the audience differs.",
        fix: "Register the cluster's OIDC issuer in the organization, and add a policy that allows `sub: system:serviceaccount:NAMESPACE:NAME` with the token's `aud`.",
        example: "kubectl create token NAME --audience urn:pulumi:org:ORG   # then look at its `iss`, `sub` and `aud`",
    }
    UNAUTHENTICATED = "ESC308" {
        title: "ESC does not accept the token",
        cause: "The access token is wrong, expired or revoked.",
        fix: "Put a valid access token into the Secret that `access-token-secret` names; for exchanged tokens, check the clocks and the issuer's `maxExpiration`.",
        example: "",
    }
    FORBIDDEN = "ESC309" {
        title: "The pod's identity may not open the environment",
        cause: "ESC knows the token, but it has no permission to open this environment (or one that it imports).",
        fix: "Grant `environment:open` on the environment to the team or organization that the token acts for, or choose another `token-type`.",
        example: "esc.pulumi.com/token-type: team:payments",
    }
    APPROVAL = "ESC310" {
        title: "Opening the environment needs an approval",
        cause: "The environment is protected: it opens only while an approved open request is active.",
        fix: "Have an open request approved for the pod's identity, or take the gate off environments that workloads open by themselves.",
        example: "",
    }
    NOT_FOUND = "ESC311" {
        title: "The environment does not exist",
        cause: "ESC knows no environment (or no such version of it) by this name, or the pod's identity may not even see it.",
        fix: "Check organization, project, name and version in `esc.pulumi.com/environment`; `esc env ls` lists what exists.",
        example: "esc.pulumi.com/environment: acme/shop/prod@stable",
    }
    DEFINITION = "ESC312" {
        title: "The environment can't be evaluated",
        cause: "ESC found errors while it evaluated the environment, for example a provider that refused its login or a reference to a value that is gone.",
        fix: "Open the environment yourself (`esc env open NAME`) and correct what the diagnostics name.",
        example: "esc env open acme/shop/prod",
    }
    BAD_REQUEST = "ESC313" {
        title: "ESC can't understand the request",
        cause: "ESC answered 400 without diagnostics, so it takes the request itself for malformed.",
        fix: "Check the environment's name and version; if they are right, this build and the server don't understand each other: report it.",
        example: "",
    }
    CONFLICT = "ESC314" {
        title: "The environment changed while it was opened",
        cause: "ESC answered 409: somebody changes the environment right now.",
        fix: "Nothing to do if it happens once, since the pod retries by itself; else look at who writes to the environment.",
        example: "",
    }
    SESSION_GONE = "ESC315" {
        title: "The opened session vanished",
        cause: "ESC opened the environment and did not know the session a moment later, twice. Several ESC servers behind one address that share no state look like this.",
        fix: "The pod retries by itself; with a server of your own, see that every request of a client reaches the same one.",
        example: "",
    }
    MALFORMED = "ESC316" {
        title: "The answer is not ESC's",
        cause: "What came back is not what ESC answers: a redirect, a web page, cut JSON, a status without meaning here. A captive portal or a wrong address looks like this.",
        fix: "Check that `--api-url` is the address of ESC's API and not of a website, and that no proxy answers in its place.",
        example: "",
    }
    TOO_LARGE = "ESC317" {
        title: "The environment is too large",
        cause: "ESC's answer is larger than 16 MiB, or holds more than 100000 values, which is the most that the agent reads.",
        fix: "Split the environment, or keep large files elsewhere.",
        example: "",
    }
    REDIRECTED = "ESC318" {
        title: "A mesh may keep the agent from ESC",
        cause: "The connection to ESC was refused or reset, and the pod belongs to a service mesh whose proxy starts after the agent. The mesh's rules already send connections to that proxy, where nobody listens yet.",
        fix: "Take ESC out of the redirection, with the mesh's annotation that the message names; or let the mesh run its proxy as a native sidecar, after which the agent starts by itself. If ESC's address refuses connections without the mesh as well, see ESC301.",
        example: "metadata:\n  annotations:\n    traffic.sidecar.istio.io/excludeOutboundPorts: \"443\"",
    }
}
