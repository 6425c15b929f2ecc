//! Fixed sequences that once went wrong, named after what a user saw.
