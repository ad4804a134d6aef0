//! Memory that processes may still take: of the machine, and of the control groups around this process. Linux tells; other
//! systems do not.

use flexdit_core::Bytes;

/// The least of what the machine has and what the control groups allow; `None` where the system does not tell.
pub fn available() -> Option<Bytes> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| of_meminfo(&text));
    [machine, of_groups(&read)].into_iter().flatten().min()
}

fn of_meminfo(text: &str) -> Option<Bytes> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib * 1024))
}

/// The least that the process's control group and those around it leave, of version 2 and of version 1's memory controller.
/// A path that is not there, as inside of a container, is passed over; its root is the container's own group.
fn of_groups(read: &dyn Fn(&str) -> Option<String>) -> Option<Bytes> {
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let mut left = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let [root, limit, used] = match controllers {
            "" => ["/sys/fs/cgroup", "memory.max", "memory.current"],
            list if list.split(',').any(|name| name == "memory") => {
                ["/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"]
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            let number =
                |file: &str| read(&format!("{root}{path}/{file}"))?.trim().parse::<u64>().ok();
            // A group without a limit says `max`, or in version 1 a number beyond every machine.
            if let Some(limit) = number(limit) {
                left.push(Bytes(limit.saturating_sub(number(used).unwrap_or(0))));
            }
            match path.rsplit_once('/') {
                Some((outer, _)) => path = outer,
                None => break,
            }
        }
    }
    left.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_for_free_memory_is_understood() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(of_meminfo(text), Some(Bytes(8192 * 1024)));
        assert_eq!(of_meminfo("MemTotal: 1 kB\n"), None);
    }

    /// What is left by these files.
    fn left(files: &[(&str, &str)]) -> Option<Bytes> {
        of_groups(&|path| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_tightest_of_nested_groups_counts() {
        let nested = [
            ("/proc/self/cgroup", "0::/user/job\n"),
            ("/sys/fs/cgroup/user/job/memory.max", "max\n"),
            ("/sys/fs/cgroup/user/memory.max", "5000\n"),
            ("/sys/fs/cgroup/user/memory.current", "1000\n"),
            ("/sys/fs/cgroup/memory.max", "9000\n"),
        ];
        assert_eq!(left(&nested), Some(Bytes(4000)));
        // Inside of a container the path is that of the host, and only the root is there.
        assert_eq!(left(&[nested[0], nested[4]]), Some(Bytes(9000)));
        assert_eq!(left(&nested[..2]), None);
        assert_eq!(left(&[]), None);
    }

    #[test]
    fn the_first_version_of_control_groups_counts_too() {
        let files = [
            ("/proc/self/cgroup", "7:cpu,cpuacct:/a\n5:memory:/a/b\n0::/\n"),
            ("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "3000\n"),
            ("/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "500\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/cpu/a/memory.limit_in_bytes", "1\n"),
        ];
        assert_eq!(left(&files), Some(Bytes(2500)));
    }
}
