//! `ESC8xx`: the installation, as the API server's policies, `esc-injector probe` and
//! `esc-injector doctor` see it.

super::codes! {
    ASKED_NOT_INJECTED = "ESC801" {
        title: "The pod asks for injection and carries no agent",
        cause: "A policy of the API server found that the webhook did not see the pod: its configuration was deleted or excludes the pod, a failure was ignored (failurePolicy Ignore), or the annotations were added by something that changes pods after the webhook was passed over.",
        fix: "Restore the webhook configuration (`helm upgrade`), look at its selectors and conditions, and put the annotations on the pod's template; set `esc.pulumi.com/inject` to \"false\" to run the pod without secrets meanwhile.",
        example: "kubectl get mutatingwebhookconfiguration esc-injector",
    }
    ASKED_OUTSIDE = "ESC802" {
        title: "Injection is asked for in a namespace that is not injected",
        cause: "The namespace has no label `esc.pulumi.com/injection`, the label has another value than `enabled` or `all`, or the operator excluded the namespace. The pod is not injected.",
        fix: "Label the namespace, or remove the annotations.",
        example: "kubectl label namespace shop esc.pulumi.com/injection=enabled",
    }
    MORE_THAN_THE_BUNDLE = "ESC803" {
        title: "The webhook's own ServiceAccount may change caBundle only",
        cause: "Something that acts as esc-injector's ServiceAccount tried to create, delete or change a webhook configuration otherwise than esc-injector does. A policy of the API server refused it.",
        fix: "Find out from the audit log who it was, and treat the ServiceAccount's tokens as stolen. Change the configuration by `helm upgrade`.",
        example: "",
    }
    NO_API_SERVER = "ESC811" {
        title: "The API server can't be asked",
        cause: "There is neither a kubeconfig nor a mounted ServiceAccount token, the kubeconfig can't be used, or the API server does not answer, or not usefully.",
        fix: "Run it as a pod with its ServiceAccount token mounted, or set KUBECONFIG; check that the API server can be reached from there.",
        example: "kubectl get --raw /readyz",
    }
    NO_CONFIGURATION = "ESC812" {
        title: "The webhook configuration can't be read",
        cause: "It does not exist, has no entry of ours, or reading it is not allowed.",
        fix: "Name the right one with --webhook-configuration; restore a deleted one by `helm upgrade`; grant `get` on it.",
        example: "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations",
    }
    NO_BUNDLE = "ESC813" {
        title: "The webhook configuration has no usable caBundle",
        cause: "Nobody has put the issuing CA there yet, or something emptied it: the replicas do in mode self, cert-manager's cainjector in mode certManager, Helm in mode secret. Until then the API server trusts no certificate of the webhook.",
        fix: "Look at the webhook's log, or at cainjector's. With a GitOps tool, let it ignore caBundle.",
        example: "kubectl -n esc-injector logs deployment/esc-injector",
    }
    NO_ANSWER = "ESC814" {
        title: "The webhook does not answer as the API server needs it",
        cause: "Its Service has no ready pod, the network is closed, or its certificate is not issued by the CA in caBundle.",
        fix: "Look at the webhook's pods and their readiness, at NetworkPolicies and firewalls, and at the certificate.",
        example: "kubectl -n esc-injector get pods,endpointslices",
    }
    WRONG_ANSWER = "ESC815" {
        title: "The webhook's answer is not what a pod would need",
        cause: "It answered something else than an admission review, failed, or let a pod pass without injecting it: another program may answer at the Service's address, or another release than the chart's.",
        fix: "Look at the webhook's log, and at which pods the Service selects.",
        example: "kubectl -n esc-injector get pods --show-labels",
    }
    TRIAL_POD_NOT_INJECTED = "ESC816" {
        title: "The API server does not inject a trial pod",
        cause: "A pod that asks was sent to the API server as a dry run, and was refused, or came back without the agent. If the webhook itself answers, then the API server can't reach it (a firewall between control plane and pods), or the namespace is not labelled.",
        fix: "Read the refusal. For `failed calling webhook` with a timeout: open the webhook's port from the control plane, or set webhook.hostNetwork. Otherwise label the namespace.",
        example: "kubectl label namespace shop esc.pulumi.com/injection=enabled",
    }
    OLD_API_SERVER = "ESC821" {
        title: "The API server is too old",
        cause: "Injection stands on match conditions and validating admission policies, which are complete since Kubernetes 1.30. An older API server drops what it does not know, and asks the webhook about pods that are none of its business, or not at all.",
        fix: "Upgrade the control plane to 1.30 or newer.",
        example: "kubectl version",
    }
    CHANGED_ENTRY = "ESC822" {
        title: "An entry of the webhook configuration is not as the chart writes it",
        cause: "Somebody or something changed it after the installation, or it is another release's: pods may pass the webhook by, or depend on it although they ask for nothing.",
        fix: "Restore it by `helm upgrade`, and find out who changed it: its managed fields name the last writers.",
        example: "kubectl get mutatingwebhookconfiguration esc-injector -o yaml --show-managed-fields",
    }
    NO_REPLICA = "ESC823" {
        title: "No replica of the webhook is ready",
        cause: "The webhook's Service has no ready endpoint: its pods are not scheduled, can't pull their image, or don't become ready.",
        fix: "Look at the Deployment's pods and their events; a pod that runs says in its log why it is not ready.",
        example: "kubectl -n esc-injector describe pods",
    }
    NO_POLICY = "ESC824" {
        title: "A policy of the chart is missing, or bound to nothing",
        cause: "The chart's validating admission policies hold when the webhook is passed over. One of them was deleted, or switched off in the chart's values.",
        fix: "Restore it by `helm upgrade`, or leave it off if that was meant (chart value policies).",
        example: "kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings",
    }
    OLDER_KUBELET = "ESC825" {
        title: "A kubelet is older than the webhook was told",
        cause: "The chart's minKubelet promises that every kubelet is at least of that release, so that variables may come from files. A node's kubelet is older: pods on it would not start, or would start with empty variables.",
        fix: "Upgrade the node, or lower minKubelet; below 1.35 variables come by the wrapper alone.",
        example: "kubectl get nodes",
    }
    UNKNOWN_TO_API_SERVER = "ESC826" {
        title: "The API server does not know who asks",
        cause: "The API server answered 401: the token or certificate of the kubeconfig has ended, was revoked, or is another cluster's.",
        fix: "Sign in to the cluster again, or choose another --context.",
        example: "kubectl auth whoami",
    }
}
