/** The keyboard of the player: which key does what; the "?" sheet is made from the same list. */
import type { TextKey } from '../text/t';

export type PlayerAction =
  | 'toggle'
  | 'back'
  | 'forward'
  | 'stepBack'
  | 'stepForward'
  | 'louder'
  | 'quieter'
  | 'mute'
  | 'fullScreen'
  | 'captions'
  | 'pictureInPicture'
  | 'start'
  | 'end'
  | 'slower'
  | 'faster'
  | 'help';

export const shortcuts: { keys: string[]; shown: string[]; action: PlayerAction; text: TextKey }[] = [
  { keys: ['k', ' '], shown: ['K', '␣'], action: 'toggle', text: 'keys.toggle' },
  { keys: ['j'], shown: ['J'], action: 'back', text: 'keys.back' },
  { keys: ['l'], shown: ['L'], action: 'forward', text: 'keys.forward' },
  { keys: ['ArrowLeft'], shown: ['←'], action: 'stepBack', text: 'keys.stepBack' },
  { keys: ['ArrowRight'], shown: ['→'], action: 'stepForward', text: 'keys.stepForward' },
  { keys: ['ArrowUp'], shown: ['↑'], action: 'louder', text: 'keys.louder' },
  { keys: ['ArrowDown'], shown: ['↓'], action: 'quieter', text: 'keys.quieter' },
  { keys: ['m'], shown: ['M'], action: 'mute', text: 'keys.mute' },
  { keys: ['c'], shown: ['C'], action: 'captions', text: 'keys.captions' },
  { keys: ['f'], shown: ['F'], action: 'fullScreen', text: 'keys.fullScreen' },
  { keys: ['i'], shown: ['I'], action: 'pictureInPicture', text: 'keys.pictureInPicture' },
  { keys: ['Home'], shown: ['Home'], action: 'start', text: 'keys.start' },
  { keys: ['End'], shown: ['End'], action: 'end', text: 'keys.end' },
  { keys: ['<'], shown: ['<'], action: 'slower', text: 'keys.slower' },
  { keys: ['>'], shown: ['>'], action: 'faster', text: 'keys.faster' },
  { keys: ['?'], shown: ['?'], action: 'help', text: 'keys.help' },
];

/** The action of a key press, or none when the key belongs to the control that has the focus. */
export function actionOf(event: KeyboardEvent | React.KeyboardEvent): PlayerAction | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const target = event.target as HTMLElement;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (target.closest('[role="radiogroup"], [contenteditable]') || isTyping(target)) return undefined;
  if (key === ' ' && target.closest('button, a, [role="switch"]')) return undefined;
  if (target instanceof HTMLInputElement && target.type === 'range' && /^(Arrow|Home|End)/.test(key)) return undefined;
  return shortcuts.find((shortcut) => shortcut.keys.includes(key))?.action;
}

function isTyping(target: HTMLElement): boolean {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && target.type !== 'range';
}
