//! Tests over HTTP with a client that knows nothing but the sheet.
