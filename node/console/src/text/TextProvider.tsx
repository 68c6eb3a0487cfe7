import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { type Formats, formatsFor } from './formats';
import { type Language, loadMessages, rememberLanguage, type Translate, translator } from './t';

interface Text {
  t: Translate;
  formats: Formats;
  language: Language;
  setLanguage: (language: Language) => void;
}

const TextContext = createContext<Text | null>(null);
type Messages = Awaited<ReturnType<typeof loadMessages>>;

/** Hands the chosen language to the pages and keeps `<html lang>` true. */
export function TextProvider(props: { language: Language; messages: Messages; children: ReactNode }) {
  const [chosen, setChosen] = useState({ language: props.language, messages: props.messages });
  useEffect(() => {
    document.documentElement.lang = chosen.language;
  }, [chosen.language]);
  const setLanguage = useCallback((language: Language) => {
    rememberLanguage(language);
    void loadMessages(language).then((messages) => setChosen({ language, messages }));
  }, []);
  const text = useMemo<Text>(() => {
    const t = translator(chosen.language, chosen.messages);
    return { t, formats: formatsFor(chosen.language), language: chosen.language, setLanguage };
  }, [chosen, setLanguage]);
  return <TextContext value={text}>{props.children}</TextContext>;
}

/** `t`, number and time formats, and the language. */
export function useText(): Text {
  const text = useContext(TextContext);
  if (!text) throw new Error('useText needs a TextProvider above it');
  return text;
}
