import { createContext, lazy, type ReactNode, Suspense, useCallback, useContext, useState } from 'react';

/** Its own chunk: most visits ask nothing. */
const ConfirmDialog = lazy(async () => ({ default: (await import('./ConfirmDialog')).ConfirmDialog }));

export interface ConfirmQuestion {
  title: string;
  text: ReactNode;
  /** What the button that goes ahead says: a verb. */
  action: string;
  /** True paints the button red. */
  dangerous?: boolean;
  /** When given, this must be typed before the button works. */
  typed?: string;
}

type Ask = (question: ConfirmQuestion) => Promise<boolean>;
export interface OpenQuestion {
  question: ConfirmQuestion;
  answer: (yes: boolean) => void;
}

const AskContext = createContext<Ask | null>(null);

/** The one helper through which every destructive action asks. */
export function DialogProvider(props: { children: ReactNode }) {
  const [open, setOpen] = useState<OpenQuestion | null>(null);
  const ask = useCallback<Ask>(
    (question) =>
      new Promise((resolve) => {
        setOpen({
          question,
          answer: (yes) => {
            setOpen(null);
            resolve(yes);
          },
        });
      }),
    [],
  );
  return (
    <AskContext value={ask}>
      {props.children}
      {open && (
        <Suspense>
          <ConfirmDialog question={open.question} answer={open.answer} />
        </Suspense>
      )}
    </AskContext>
  );
}

/** Asks before something is done that cannot be undone; resolves to what the person chose. */
export function useConfirm(): Ask {
  const ask = useContext(AskContext);
  if (!ask) throw new Error('useConfirm needs a DialogProvider above it');
  return ask;
}
