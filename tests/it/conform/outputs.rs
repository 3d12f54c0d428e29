//! The outputs of `conform`, its exit statuses, and the ends of its processes.
