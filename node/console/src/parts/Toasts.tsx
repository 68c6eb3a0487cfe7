import { Notification, Stack } from '@mantine/core';
import { createContext, type ReactNode, useCallback, useContext, useState } from 'react';
import { useText } from '../text/TextProvider';
import { useProblemText } from './problemText';

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

interface Toasts {
  done: (text: string) => void;
  failed: (error: unknown) => void;
}

const ToastContext = createContext<Toasts | null>(null);
const shownFor = 6_000;
let nextId = 1;

/** Short news in the corner; good news goes away by itself, bad news stays until it is closed. */
export function ToastProvider(props: { children: ReactNode }) {
  const { t } = useText();
  const problemText = useProblemText();
  const [toasts, setToasts] = useState<Toast[]>([]);
  const close = useCallback((id: number) => setToasts((all) => all.filter((toast) => toast.id !== id)), []);
  const add = useCallback(
    (text: string, bad: boolean) => {
      const id = nextId++;
      setToasts((all) => [...all.slice(-3), { id, text, bad }]);
      if (!bad) setTimeout(() => close(id), shownFor);
    },
    [close],
  );
  const done = useCallback((text: string) => add(text, false), [add]);
  const failed = useCallback((error: unknown) => add(problemText(error), true), [add, problemText]);
  return (
    <ToastContext value={{ done, failed }}>
      {props.children}
      <section className="toasts" aria-live="polite" aria-label={t('toasts.label')}>
        <Stack gap="xs">
          {toasts.map((toast) => (
            <Notification
              key={toast.id}
              color={toast.bad ? 'red' : undefined}
              onClose={() => close(toast.id)}
              closeButtonProps={{ 'aria-label': t('action.close') }}
              withBorder
              role={toast.bad ? 'alert' : 'status'}
            >
              {toast.text}
            </Notification>
          ))}
        </Stack>
      </section>
    </ToastContext>
  );
}

export function useToasts(): Toasts {
  const toasts = useContext(ToastContext);
  if (!toasts) throw new Error('useToasts needs a ToastProvider above it');
  return toasts;
}
