import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { documents } from '../../support/markdown.ts'

/** Returns the anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

function anchorsIn(file: string): string[] {
  const prose = readFileSync(file, 'utf8').replaceAll(/^ *```[\s\S]*?^ *```$/gm, '')
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))
}

test.each(documents())('resolves every link of %s', (file) => {
  const links = [...readFileSync(file, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  for (const link of links.filter((candidate) => !/^https?:/.test(candidate))) {
    const [path = '', anchor] = link.split('#')
    const target = path ? join(dirname(file), path) : file
    expect(existsSync(target), `${file}: ${link}`).toBe(true)
    if (anchor !== undefined) expect(anchorsIn(target), `${file}: ${link}`).toContain(anchor)
  }
})
