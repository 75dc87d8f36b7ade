//! What is kept, who is told, and what is said of the rest.
