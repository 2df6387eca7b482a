//! Which panics are findings. Readers of documents that are not ours panic on bad files; that is caught and means
//! "unreadable". A panic in our own code is one.

pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        let is_foreign = panic.location().is_some_and(|place| place.file().contains("/registry/src/"));
        if !is_foreign {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}
