//! The names that ESC's own catalogue has: who uses one that is not built here yet is told so.

/// ESC's providers.
pub(super) const PROVIDERS: &[&str] = &[
    "1password-secrets",
    "aws-login",
    "aws-parameter-store",
    "aws-secrets",
    "azure-login",
    "azure-secrets",
    "debug-oidc-claims",
    "doppler-login",
    "doppler-secrets",
    "external",
    "gcp-login",
    "gcp-secrets",
    "gh-login",
    "infisical-login",
    "infisical-secrets",
    "oidc",
    "pulumi-stacks",
    "snowflake-login",
    "terraform-state",
    "vault-login",
    "vault-secrets",
];

/// ESC's rotators.
pub(super) const ROTATORS: &[&str] = &[
    "aws-iam",
    "azure-app-secret",
    "external",
    "mysql",
    "passphrase",
    "password",
    "postgres",
    "snowflake-user",
];
