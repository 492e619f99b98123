//! Every kind of the registry, checked alike.
