import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { temporaryFolder } from './workspace.ts'

/** A machine with systemd as its first process; its root is an overlay of this one's. It goes with the test. */
export type SystemdMachine = {
  /** Runs sh text there, with some text as its input. */
  sh: (text: string, input?: string) => { status: number | null; output: string }
}

const boot = `
mount -t tmpfs -o size=1g tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch "dev/$node"; mount --bind "/dev/$node" "dev/$node"; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
# nothing of this machine's own is started
rm -f etc/systemd/system/*.wants/* lib/systemd/system/sysinit.target.wants/*
ip link set lo up
hostname test
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system --unit=basic.target
`

export async function startSystemd(test: Test): Promise<SystemdMachine> {
  const folder = temporaryFolder(test)
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  const apart = ['--mount', '--pid', '--uts', '--ipc', '--net', '--cgroup', '--fork', '--kill-child']
  const machine = spawn('unshare', [...apart, 'sh', '-ec', boot, 'sh', disk], { stdio: 'ignore' })
  test.teardown(() => void machine.kill('SIGKILL'))
  const first = () => readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8').trim()
  const sh = (text: string, input = '') => {
    const enter = [
      '-t',
      first(),
      '-m',
      '-p',
      '-u',
      '-i',
      '-n',
      'chroot',
      join(disk, 'root'),
      'sh',
      '-c',
      text,
    ]
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
    const { status, stdout, stderr } = spawnSync('nsenter', enter, { input, encoding: 'utf8', env })
    return { status, output: stdout + stderr }
  }
  const isUp = () => first() !== '' && /^(?:running|degraded)/.test(sh('systemctl is-system-running').output)
  for (let i = 0; i < 300 && !isUp(); i++) await delay(100)
  return { sh }
}
