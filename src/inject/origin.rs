//! Where values come from: which environments, where ESC is, and how the agent proves who the pod is.

use super::{
    Context, annotations,
    keys::Key,
    layer::TokenSecret,
    policy::{AuthMode, Policy},
    problem::Problem,
    subject::Subject,
};
use crate::{
    codes::annotations as codes,
    esc::{pattern::Pattern, reference::Reference, token_type::TokenType},
};

/// Where values come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What to open, in the order of folding. Never empty.
    pub environments: Vec<Reference>,
    /// How the agent proves who the pod is.
    pub identity: Identity,
    /// Service root of ESC.
    pub api_url: String,
}

/// How the agent proves who the pod is.
#[derive(Debug, Clone)]
pub enum Identity {
    /// By the pod's own tokens.
    Exchange {
        /// What they are exchanged for.
        token_type: TokenType,
        /// The projected tokens. Never empty.
        tokens: Vec<ProjectedToken>,
    },
    /// By a static token.
    Secret(TokenSecret),
}

/// A token of the pod's `ServiceAccount`.
#[derive(Debug, Clone)]
pub struct ProjectedToken {
    /// Whom it is for.
    pub audience: String,
    /// Its file in the token volume.
    pub file: String,
    /// The organizations whose tokens it is exchanged for.
    pub organizations: Vec<String>,
}

/// The token's file; where there are several, the organization follows.
const TOKEN: &str = "token";

/// The part of a layer that says where values come from.
#[derive(Debug)]
pub struct Said {
    pub environments: Option<Vec<Reference>>,
    pub token_secret: Option<TokenSecret>,
    pub audience: Option<String>,
    pub token_type: Option<TokenType>,
    pub api_url: Option<String>,
}

/// Judges what was said; none while something without a default is missing, which is then among the problems.
pub fn judge(said: Said, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Origin> {
    let policy = context.policy;
    let api_url = api_url(said.api_url, policy, problems);
    let environments = environments(said.environments, context, problems);
    let identity =
        identity(said.token_secret, said.audience, said.token_type, (policy, &environments), problems)?;
    (!environments.is_empty()).then_some(Origin { environments, identity, api_url })
}

fn api_url(chosen: Option<String>, policy: &Policy, problems: &mut Vec<Problem>) -> String {
    let Some(url) = chosen else { return policy.api_url.clone() };
    if url != policy.api_url && !policy.allowed_api_urls.contains(&url) {
        let message = format!("`{url}` is not on the operator's list");
        problems.push(Problem::forbidden(codes::API_URL, Subject::key(Key::ApiUrl), message));
    }
    url
}

fn environments(
    chosen: Option<Vec<Reference>>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Reference> {
    let subject = Subject::key(Key::Environment);
    let references = chosen.unwrap_or_default();
    if let Some(patterns) = context.namespace_annotations.and_then(annotations::allowed_environments) {
        for reference in references.iter().filter(|reference| !allows(&patterns, reference)) {
            let message = format!(
                "`{reference}` is not among the allowed environments of namespace `{}`: {}",
                context.namespace,
                patterns.join(", ")
            );
            problems.push(Problem::forbidden(codes::ENVIRONMENT_NOT_ALLOWED, subject.clone(), message));
        }
    }
    if references.is_empty() {
        // A malformed name was reported where it was read.
        if problems.iter().all(|problem| problem.code != codes::REFERENCE) {
            let message =
                "is missing on the pod and on its namespace; write organization/project/environment";
            problems.push(Problem::invalid(codes::NO_ENVIRONMENT, subject, message));
        }
    }
    references
}

/// Whether a pattern covers the reference. A version is ignored unless the pattern has one.
fn allows(patterns: &[&str], reference: &Reference) -> bool {
    let full = reference.to_string();
    let bare = full.split('@').next().unwrap_or(&full);
    patterns.iter().any(|pattern| {
        let text = if pattern.contains('@') { full.as_str() } else { bare };
        let (mut pattern, mut text) = (pattern.split('/'), text.split('/'));
        loop {
            match (pattern.next(), text.next()) {
                (None, None) => return true,
                (Some(pattern), Some(text)) if Pattern::new(pattern).matches(text) => {}
                _ => return false,
            }
        }
    })
}

fn identity(
    secret: Option<TokenSecret>,
    audience: Option<String>,
    token_type: Option<TokenType>,
    (policy, environments): (&Policy, &[Reference]),
    problems: &mut Vec<Problem>,
) -> Option<Identity> {
    if let Some(secret) = secret {
        return Some(Identity::Secret(secret));
    }
    if policy.auth == AuthMode::Token {
        let message = "is missing on the pod and on its namespace, and the operator chose static tokens";
        problems.push(Problem::invalid(codes::TOKEN_SECRET, Subject::key(Key::AccessTokenSecret), message));
        return None;
    }
    if let Some(audience) = &audience
        && policy.audience.as_ref() != Some(audience)
        && !policy.allowed_audiences.iter().any(|pattern| Pattern::new(pattern).matches(audience))
    {
        let message = format!("`{audience}` is not on the operator's list");
        problems.push(Problem::forbidden(
            codes::AUDIENCE,
            Subject::key(Key::ServiceAccountAudience),
            message,
        ));
    }
    let chosen = audience.or_else(|| policy.audience.clone());
    let token_type = token_type.unwrap_or_else(|| policy.token_type.clone());
    Some(Identity::Exchange { token_type, tokens: tokens(chosen, environments) })
}

/// One token where one audience was chosen for all, else one for each organization.
fn tokens(chosen: Option<String>, environments: &[Reference]) -> Vec<ProjectedToken> {
    let mut organizations: Vec<String> = Vec::new();
    for reference in environments {
        if organizations.iter().all(|known| known != reference.organization()) {
            organizations.push(reference.organization().to_owned());
        }
    }
    if let Some(audience) = chosen {
        return vec![ProjectedToken { audience, file: TOKEN.to_owned(), organizations }];
    }
    let is_only = organizations.len() == 1;
    let token = |organization: String| ProjectedToken {
        audience: format!("urn:pulumi:org:{organization}"),
        file: if is_only { TOKEN.to_owned() } else { format!("{TOKEN}-{organization}") },
        organizations: vec![organization],
    };
    organizations.into_iter().map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_does_not_cross_a_slash() {
        let reference = |text: &str| text.parse::<Reference>().expect("a reference");
        for (pattern, text, allowed) in [
            ("acme/shop/prod", "acme/shop/prod", true),
            ("acme/shop/prod", "acme/shop/prod@3", true),
            ("acme/shop/prod@3", "acme/shop/prod@3", true),
            ("acme/shop/prod@3", "acme/shop/prod", false),
            ("acme/shop/prod@3", "acme/shop/prod@4", false),
            ("acme/shop-*/*", "acme/shop-eu/prod", true),
            ("acme/shop-*/*", "acme/shop/prod", false),
            ("acme/*", "acme/shop/prod", false),
            ("*/*/prod", "acme/shop/prod", true),
            ("acme/s*p/p*d", "acme/shop/prod", true),
            ("acme/s*q/prod", "acme/shop/prod", false),
        ] {
            assert_eq!(allows(&[pattern], &reference(text)), allowed, "{pattern} on {text}");
        }
    }
}
