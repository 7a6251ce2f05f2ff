//! The processes below this one.

/// Kills the process and the rest of its group.
pub fn kill_group(first: u32) {
    if let Ok(first) = i32::try_from(first)
        && first > 1
    {
        // SAFETY: sends a signal to processes that we started.
        unsafe {
            libc::kill(-first, libc::SIGKILL);
            libc::kill(first, libc::SIGKILL);
        }
    }
}

/// Ends every process below this one but `spared` and what is below that: cargo and what it started. Whether there was any.
pub fn stop_all_but(spared: u32) -> bool {
    let all = processes();
    let mut below = vec![std::process::id()];
    let mut at = 0;
    while let Some(parent) = below.get(at).copied() {
        below.extend(all.iter().filter(|(id, above)| *above == parent && *id != spared).map(|(id, _)| *id));
        at += 1;
    }
    for id in &below[1..] {
        // SAFETY: sends a signal to processes that we started.
        unsafe { libc::kill(*id as i32, libc::SIGTERM) };
    }
    below.len() > 1
}

/// Every process and the one above it.
#[cfg(target_os = "linux")]
fn processes() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in brackets, may hold anything.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            (fields.next()? != "Z").then_some(())?;
            Some((id, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// Every process and the one above it.
#[cfg(not(target_os = "linux"))]
fn processes() -> Vec<(u32, u32)> {
    let Ok(said) = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else {
        return Vec::new();
    };
    let own = std::process::id();
    String::from_utf8_lossy(&said.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .filter(|(id, _)| *id != own)
        .collect()
}
