import { Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useText } from '../../text/TextProvider';

/** Around everything: the skip link and the voice that tells screen readers which page this is now. */
export function Root() {
  const { t } = useText();
  return (
    <>
      <a className="skip-link" href="#main">
        {t('skip')}
      </a>
      <RouteAnnouncer />
      <Outlet />
    </>
  );
}

/** After a change of page: says its title and moves the focus to the start of its content, as a page load would. */
function RouteAnnouncer() {
  const { pathname } = useLocation();
  const [title, setTitle] = useState('');
  const previous = useRef(pathname);
  useEffect(() => {
    if (previous.current === pathname) return;
    previous.current = pathname;
    const focusInside = document.activeElement?.closest('#main');
    if (!focusInside) document.getElementById('main')?.focus({ preventScroll: true });
    // The page sets its title in an effect of its own, after its chunk is there.
    const timer = setTimeout(() => setTitle(document.title), 300);
    return () => clearTimeout(timer);
  }, [pathname]);
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {title}
    </div>
  );
}
