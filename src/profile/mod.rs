//! Configured drives: what a profile says, whether it is complete, and how it is opened.
//!
//! A profile is a `[profile.NAME]` table of the user's settings file, which panfuse never
//! writes, or a table of `profiles.toml` in the data directory, which `panfuse profile add`
//! writes. Secrets of both are in the vault.
//!
//! | file | what is in it |
//! |---|---|
//! | `spec` | [`ProfileSpec`]; reading the JSON of `profile add`; rules for names |
//! | `check` | [`check`]: what is missing or wrong, with the way to make it right |
//! | `placeholder` | values copied from an example and not filled in (SPEC C-20) |
//! | `mask` | showing a secret-like value without telling it (SPEC C-21) |
//! | `store` | [`Profiles`]: both files |
//! | `open` | [`open`]: a profile to a [`crate::drive::Drive`]; shared account budgets |
//! | `readonly` | a drive on which nothing can be written |
//! | `validation` | [`validate`] and the record of its results |

mod check;
mod mask;
mod open;
mod placeholder;
mod readonly;
mod spec;
mod store;
mod validation;

#[cfg(test)]
pub(crate) mod fake;

pub use check::{Problem, auth_mode, check, check_addresses, find_provider, given_secrets};
pub use mask::{mask, mask_field};
pub use open::{Budgets, MemoryBreakers, OpenDeps, login_context, open, resting};
pub use placeholder::is_placeholder;
pub use readonly::ReadOnly;
pub use spec::{ProfileSpec, check_name};
pub use store::{ProfileError, Profiles, Source};
pub use validation::{Validation, Validations, validate};
