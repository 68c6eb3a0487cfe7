/**
 * Text of the console: keys are typed from `en.json`, and only the language in use is loaded.
 *
 * A message may carry `{name}` places and, for counts, `one` and `other` forms chosen by `Intl.PluralRules`.
 */
import type english from './en.json';

export type TextKey = keyof typeof english;
export type Language = 'en' | 'de';
type Message = string | { one: string; other: string };
type Messages = Record<TextKey, Message>;
export type TextValues = Record<string, string | number>;
export type Translate = (key: TextKey, values?: TextValues) => string;

const storageKey = 'mediakeep.language';
export const languages: { value: Language; label: string }[] = [
  { value: 'en', label: 'English' },
  { value: 'de', label: 'Deutsch' },
];

/** The language chosen earlier, else the browser's, else English. */
export function preferredLanguage(): Language {
  const stored = readStored();
  if (stored) return stored;
  return navigator.language.toLowerCase().startsWith('de') ? 'de' : 'en';
}

function readStored(): Language | undefined {
  try {
    const value = localStorage.getItem(storageKey);
    return value === 'en' || value === 'de' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Remembers the choice in this browser; a browser that refuses storage simply asks again next time. */
export function rememberLanguage(language: Language): void {
  try {
    localStorage.setItem(storageKey, language);
  } catch {
    // Private windows may refuse storage.
  }
}

export async function loadMessages(language: Language): Promise<Messages> {
  if (language === 'de') return (await import('./de.json')).default as Messages;
  return (await import('./en.json')).default as Messages;
}

/** Makes the translate function of one language. */
export function translator(language: Language, messages: Messages): Translate {
  const plural = new Intl.PluralRules(language);
  const number = new Intl.NumberFormat(language);
  return (key, values) => {
    const message = messages[key];
    const text = typeof message === 'string' ? message : pluralForm(message, plural, values);
    if (!values) return text;
    return text.replace(/\{(\w+)\}/g, (place, name: string) => {
      const value = values[name];
      if (value === undefined) return place;
      return typeof value === 'number' ? number.format(value) : value;
    });
  };
}

function pluralForm(message: { one: string; other: string }, plural: Intl.PluralRules, values?: TextValues): string {
  return plural.select(Number(values?.count ?? 0)) === 'one' ? message.one : message.other;
}
